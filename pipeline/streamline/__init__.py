"""The network while it is still a QONNX graph: reading it, running it, and the rewrites that are our own."""
