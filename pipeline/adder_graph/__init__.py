"""Constant matrices as graphs of adders: found by da4ml, proven here, cut into register stages, written as modules."""
