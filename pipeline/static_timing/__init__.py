"""How long the paths of a mapped netlist are, estimated: nothing is placed or routed."""
