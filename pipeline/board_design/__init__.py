"""The surroundings of the accelerator on a board: the block design, and the files that are made of it."""
