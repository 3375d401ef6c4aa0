from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from a2q_driver.input_transform import InputTransform
from pipeline.datasets import catalog
from pipeline.datasets.image_set import ImageSet
from pipeline.models import golden
from pipeline.verification import accuracy
from pipeline.verification.accuracy import Accuracy, images_for, measure
from tests.report.sample import sample_facts

GRAPH = sample_facts().folded.graph
RECORD = replace(sample_facts().model, name="quant_resnet8_w4a4", dataset="cifar10", input_shape=(3, 32, 32))


class Labels:
    """A graph that says of an image the class that its first pixel is."""

    name, gives_labels, outputs, output_transform = "labels", True, (), None
    input_transform = InputTransform((3, 32, 32), (32, 32, 3), (), np.float32(1 / 255), 0, 0, 255)

    def __iter__(self):
        return iter(GRAPH)

    def run(self, frames: np.ndarray) -> np.ndarray:
        return frames[:, :1, :1, :1].astype(np.int64)


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """120 test images of CIFAR-10, whose first pixel is their class but for every fourth; returned are their labels."""
    labels = np.arange(120) % 10
    pixels = np.zeros((120, 3, 32, 32), np.uint8)
    pixels[:, 0, 0, 0] = np.where(np.arange(120) % 4 == 3, (labels + 1) % 10, labels)
    whole = ImageSet(pixels, labels.astype(np.int64), "made-up test set", 10)
    monkeypatch.setattr(catalog, "at_hand", lambda name, split: True)
    monkeypatch.setattr(catalog, "load", lambda name, split, folder=None, limit=None: whole.take(limit))
    return labels


def test_labels_are_compared_with_those_of_the_data_set(images: np.ndarray, tmp_path: Path) -> None:
    told = []
    result = measure(Labels(), RECORD, 80, lambda done, total: told.append((done, total)))
    assert (result.metrics, result.images) == ({"top1": 0.75}, 80)
    assert str(result) == "top-1 75.0 % of the first 80 images of the made-up test set"
    assert told == [(50, 80), (80, 80)]
    result.save(tmp_path / "report")
    assert accuracy.load(tmp_path / "report" / accuracy.FILE) == result
    assert measure(Labels(), RECORD, "auto").images == 120


def test_outputs_are_ranked(images: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next class but one to that of the first pixel comes first, so the class of the image is among the first five."""

    def outputs(graph, frames, *, flat):
        assert flat
        first = np.rint(frames[:, 0, 0, 0] * 255).astype(int)
        given = np.zeros((len(frames), 10))
        for rank, step in enumerate((2, 0, 1, 9, 3)):
            given[np.arange(len(frames)), (first + step) % 10] = 5 - rank
        return given

    logits = Labels()
    monkeypatch.setattr(logits, "gives_labels", False, raising=False)
    monkeypatch.setattr(accuracy, "real_outputs", outputs)
    assert str(measure(logits, RECORD, 120)) == "top-1 0.0 %, top-5 100.0 % of the made-up test set"


def test_fewer_images_of_networks_with_more_multiplications() -> None:
    assert images_for(GRAPH) == 1000

    class Large:
        def __init__(self, macs: int) -> None:
            self.macs = macs

        def __iter__(self):
            return iter([self])

        def op_and_param_counts(self) -> dict[str, int]:
            return {"op_mac_4bx4b": self.macs, "param_weight_4b": 10**12}

    assert images_for(Large(560_000_000)) == 300
    assert images_for(Large(10**10)) == 100


@pytest.mark.parametrize(
    ("changes", "number", "reason"),
    [
        ({}, 0, "not asked for (accuracy_images: 0)"),
        ({"weights": "synthetic"}, "auto", "the weights are drawn, not trained"),
        (
            {"kind": "qonnx", "weights": "user's file"},
            "auto",
            "the file does not say what data it is for; `a2q evaluate FILE --dataset DATA` measures it on yours",
        ),
        ({"name": "quant_espcn_x2_w4a4_base"}, "auto", "no data set is known for it; Super resolution has its PSNR"),
        ({"name": "quant_resnet50_w4a4"}, "auto", "CIFAR-10 is not at hand. Put cifar-10-binary.tar.gz"),
    ],
)
def test_what_is_not_measured_says_why(
    changes: dict, number: object, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "at_hand", lambda name, split: False)
    result = measure(GRAPH, replace(RECORD, **changes), number)
    assert not result.metrics and result.reason.startswith(reason)
    assert str(result).startswith("not measured: ")
    if "at hand" in reason:
        assert "into cifar10/ in the folder A2Q_DATA" in result.reason


def test_labels_that_mean_something_else_are_not_compared() -> None:
    record = replace(RECORD, name="quant_unet_w4a4")
    assert "one label a frame cannot be compared with pixels" in measure(Labels(), record, 5).reason


def test_the_names_of_classes_are_those_of_the_data_set(images: np.ndarray) -> None:
    other = replace(RECORD, network={"network": "resnet8", "num_classes": 7, "dataset": "cifar10"})
    assert measure(Labels(), other, 5).reason == "CIFAR-10 is not what it tells 7 classes of apart"


def test_none_is_measured_of_nothing() -> None:
    assert Accuracy(reason="x").main is None
    assert golden.labelled_frames("imagenet", (3, 224, 224), None, 3) is None
