"""Sources and packages that the keys of several stages hold."""

__all__ = ["CPP", "HARDWARE", "LAYERS", "NETWORK"]

HARDWARE = ("hw/rtl/*.sv", "pipeline/codegen/templates/*.sv.jinja", "pipeline/codegen/templates/*.v.jinja")
CPP = ("hw/hls/*.hpp", *(f"pipeline/codegen/templates/*.{kind}.jinja" for kind in ("hpp", "cpp", "tcl")))
NETWORK = ("brevitas", "torch", "onnx", "protobuf", "numpy")  # packages that come with what `resolve` has found
LAYERS = ("numpy", "scipy", "da4ml", "jinja2")  # packages that the module of every layer brings with it
