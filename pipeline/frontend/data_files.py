"""The files beside an ONNX file that it may keep its weights in."""

from __future__ import annotations

from pathlib import Path

__all__ = ["data_files"]


def data_files(path: Path) -> list[Path]:
    """Those that are there, by the names that exporters give them: for net.onnx net.onnx.data, net.onnx_data, net.data and
    net.bin. No other file is read for a model."""
    path = Path(path)
    names = (f"{path.name}.data", f"{path.name}_data", f"{path.stem}.data", f"{path.stem}.bin")
    return [file for file in map(path.with_name, names) if file != path and file.is_file()]
