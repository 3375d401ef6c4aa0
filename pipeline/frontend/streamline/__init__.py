"""The network while it is still a QONNX graph: reading it, running it, and the rewrites that are our own."""

COPY = "~"  # between the name of weights that several layers share and the number of the layer, from the second one on
