"""transform.npz: what the host does before and after the accelerator. No pickle: reading it runs no code.

raw_shape, shape, scale, zero_point, range, rounding, bipolar, flat, shift    of the InputTransform
step_ops, step_0, step_1, …    its steps: the operations, and the operand of each; step_0_across, … where there is one
mean, std                      of images' preprocessing, where it is known
lookup                         the table that stands for both, where there is one
output_scale, output_bias      real output = scale · integer + bias; absent where the output is a label
layout                         where there is more behind that: the place of each element of the tensor that it begins with
after_ops, after_0_inputs, …   its steps: the operations, and `inputs`, `operand` and `numbers` of each
output_names, output_0, …      the names of several outputs, and the places of each in the output stream; else absent
output_0_ops, output_0_0_inputs, …    the steps of each, like those of `after`
output_0_anchors, …            the anchors of each that boxes are to be made of
anchors                        those of a detector, width and height in cells, of which boxes are to be made; else absent
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from a2q_driver.boxes import Boxes, boxes, boxes_of_grids
from a2q_driver.errors import DtypeError, PackageError
from a2q_driver.input_transform import HostStep, InputTransform
from a2q_driver.network_output import NetworkOutput
from a2q_driver.output_steps import OutputStep, outputs_of
from a2q_driver.preprocessing import ImageTransform

__all__ = ["Transforms", "load_transforms", "save_transforms"]


@dataclass(frozen=True, eq=False)
class Transforms:
    """What the host does. `images` is None where preprocessing is not known, `scale` and `bias` for a label.

    `steps` are what the network has behind its last layer, and `layout` has, for each element of the tensor that they begin
    with, without the batch, the place in a frame of the output stream. `several` has the outputs of a network with more
    than one, and `anchors`, float64 (A, 2), are those of a detector whose outputs `boxes` takes, in a dictionary by the names
    of its outputs where they are several.
    """

    input: InputTransform
    images: ImageTransform | None
    scale: np.ndarray | None
    bias: np.ndarray | None
    steps: tuple[OutputStep, ...] = ()
    layout: np.ndarray | None = None
    several: tuple[NetworkOutput, ...] = ()
    anchors: np.ndarray | dict[str, np.ndarray] | None = None

    @property
    def gives_label(self) -> bool:
        """Whether the accelerator's output is the index of a class; real outputs of the network otherwise."""
        return self.scale is None

    def outputs(self, integers: np.ndarray) -> np.ndarray | dict[str, np.ndarray]:
        """What the network gives for output `integers` (N, H, W, C): classes, int64 (N,), or real outputs.

        Those are float64, of shape (N, classes) where the network gives vectors, else (N, H, W, C). Where there are `steps`
        they are what these give, of the network's own shape; indices are int64. Of several outputs each is an array by its
        name, in the order and with the shape, (N, ...), that the model has.
        """
        if self.several and self.scale is not None:
            frames = integers * self.scale + self.bias
            return {output.name: output.of(frames) for output in self.several}
        if self.layout is None:
            return self.real(integers)
        if self.scale is None or self.bias is None:
            raise ValueError("steps behind a label")
        return outputs_of(integers * self.scale + self.bias, self.layout, self.steps)

    def boxes(self, integers: np.ndarray, **limits: Any) -> list[Boxes]:
        """The boxes of each image for output `integers` (N, H, W, C) of a detector, by its anchors; `limits` are the thresholds
        of `boxes`, and `most`. Raises DtypeError for a network without anchors."""
        if self.anchors is None or self.scale is None or self.bias is None:
            raise DtypeError(
                "The package has no anchors: its network is no detector of YOLOv2's kind, or boxes are its outputs already."
            )
        outputs = integers * self.scale + self.bias
        if not isinstance(self.anchors, dict):
            return boxes(outputs, self.anchors, **limits)
        by_name = {output.name: output for output in self.several}
        grids = [(np.moveaxis(by_name[name].of(outputs), 1, -1), own) for name, own in self.anchors.items()]
        return boxes_of_grids(grids, **limits)

    def real(self, integers: np.ndarray) -> np.ndarray | dict[str, np.ndarray]:
        """The same without the `steps`: scale · integer + bias."""
        if self.scale is None or self.bias is None:
            return integers.reshape(-1)
        outputs = integers * self.scale + self.bias
        if self.several:
            return {output.name: output.before_steps(outputs) for output in self.several}
        return outputs.reshape(len(outputs), -1) if outputs.shape[1:3] == (1, 1) else outputs


def save_transforms(path: Path, transforms: Transforms) -> None:
    """Write `transforms` to the file `path`: the same bytes for the same transforms."""
    source = transforms.input
    arrays = {
        "raw_shape": np.array(source.raw_shape, np.int64),
        "shape": np.array(source.shape, np.int64),
        "scale": source.scale,
        "zero_point": np.int64(source.zero_point),
        "range": np.array([source.lo, source.hi], np.int64),
        "rounding": np.str_(source.rounding),
        "bipolar": np.bool_(source.bipolar),
        "flat": np.bool_(source.flat),
        "shift": np.int64(source.shift),
        "step_ops": np.array([step.op for step in source.steps], np.str_),
        **{f"step_{index}": step.operand for index, step in enumerate(source.steps)},
        **{f"step_{index}_across": step.across for index, step in enumerate(source.steps) if step.across.size},
    }
    if transforms.images is not None:
        arrays["mean"], arrays["std"] = np.array(transforms.images.mean), np.array(transforms.images.std)
        if transforms.images.lookup is not None:
            arrays["lookup"] = transforms.images.lookup
    if transforms.scale is not None and transforms.bias is not None:
        arrays["output_scale"], arrays["output_bias"] = transforms.scale, transforms.bias
    if transforms.layout is not None:
        arrays["layout"] = transforms.layout
        arrays |= _steps_to_arrays("after", transforms.steps)
    several = transforms.anchors if isinstance(transforms.anchors, dict) else {}
    if isinstance(transforms.anchors, np.ndarray):
        arrays["anchors"] = transforms.anchors
    if transforms.several:
        arrays["output_names"] = np.array([output.name for output in transforms.several], np.str_)
        for index, output in enumerate(transforms.several):
            arrays[f"output_{index}"] = output.places
            if output.name in several:
                arrays[f"output_{index}_anchors"] = several[output.name]
            arrays |= _steps_to_arrays(f"output_{index}", output.steps)
    np.savez(path, **arrays)


def _steps_to_arrays(name: str, steps: tuple[OutputStep, ...]) -> dict[str, np.ndarray]:
    arrays = {f"{name}_ops": np.array([step.op for step in steps], np.str_)}
    for index, step in enumerate(steps):
        arrays[f"{name}_{index}_inputs"] = np.array(step.inputs, np.int64)
        arrays[f"{name}_{index}_operand"] = step.operand
        arrays[f"{name}_{index}_numbers"] = np.array(step.numbers, np.float64)
    return arrays


def _steps_of_arrays(name: str, arrays: dict[str, np.ndarray]) -> tuple[OutputStep, ...]:
    return tuple(
        OutputStep(
            op,
            tuple(arrays[f"{name}_{index}_inputs"].tolist()),
            arrays[f"{name}_{index}_operand"],
            tuple(arrays[f"{name}_{index}_numbers"].tolist()),
        )
        for index, op in enumerate(arrays[f"{name}_ops"].tolist())
    )


def _host_step(op: str, name: str, arrays: dict[str, np.ndarray]) -> HostStep:
    across = arrays.get(f"{name}_across")
    return HostStep(op, arrays[name]) if across is None else HostStep(op, arrays[name], across)


def load_transforms(path: Path) -> Transforms:
    """What `save_transforms` wrote. Raises PackageError for a file that is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
        lo, hi = arrays["range"].tolist()
        operations = arrays["step_ops"].tolist()
        source = InputTransform(
            raw_shape=tuple(arrays["raw_shape"].tolist()),
            shape=tuple(arrays["shape"].tolist()),
            steps=tuple(_host_step(op, f"step_{index}", arrays) for index, op in enumerate(operations)),
            scale=arrays["scale"],
            zero_point=int(arrays["zero_point"]),
            lo=lo,
            hi=hi,
            rounding=str(arrays["rounding"]),
            bipolar=bool(arrays["bipolar"]),
            flat=bool(arrays["flat"]),
            shift=int(arrays["shift"]),
        )
        images = None
        if "mean" in arrays:
            mean, std = tuple(arrays["mean"].tolist()), tuple(arrays["std"].tolist())
            images = ImageTransform(source, mean, std, arrays.get("lookup"))
        steps = _steps_of_arrays("after", arrays) if "layout" in arrays else ()
        names = arrays["output_names"].tolist() if "output_names" in arrays else []
        several = tuple(
            NetworkOutput(name, arrays[f"output_{index}"], _steps_of_arrays(f"output_{index}", arrays))
            for index, name in enumerate(names)
        )
        anchors = {
            name: arrays[f"output_{index}_anchors"]
            for index, name in enumerate(names)
            if f"output_{index}_anchors" in arrays
        }
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise PackageError(f"{path} cannot be read: {error!r}.") from error
    scale, bias = arrays.get("output_scale"), arrays.get("output_bias")
    return Transforms(
        source, images, scale, bias, steps, arrays.get("layout"), several, arrays.get("anchors", anchors or None)
    )
