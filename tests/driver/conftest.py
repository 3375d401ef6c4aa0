# runs in the environment of pynq, with arguments
collect_ignore = ["on_the_board.py"]
