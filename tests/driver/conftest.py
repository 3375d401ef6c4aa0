# run in the environment of pynq
collect_ignore = ["board_process.py", "embedded.py", "on_the_board.py", "pl_server.py"]
