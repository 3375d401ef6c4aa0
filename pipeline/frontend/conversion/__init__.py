"""From a QONNX graph to the layer graph, operator by operator."""
