from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from pipeline.datasets import catalog
from pipeline.errors import ConfigError, InputError
from pipeline.models import golden
from pipeline.models.names import Preprocessing


@pytest.fixture(autouse=True)
def no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("A2Q_DATA", raising=False)
    monkeypatch.setenv("A2Q_CACHE", str(tmp_path))
    # nor what the system's packages hold
    nowhere = {name: replace(spec, system_folders=()) for name, spec in catalog.DATASETS.items()}
    monkeypatch.setattr(catalog, "DATASETS", MappingProxyType(nowhere))
    return tmp_path


def write_cifar10(folder: Path, count: int = 3) -> np.ndarray:
    """A data set of `count` images in the Hugging Face layout, stored without loss."""
    import io

    import pyarrow
    import pyarrow.parquet
    from PIL import Image

    images = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), np.uint8)
    encoded = []
    for image in images:
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "png")
        encoded.append({"bytes": stream.getvalue(), "path": ""})
    path = folder / "cifar10" / "plain_text" / "test-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    pyarrow.parquet.write_table(pyarrow.table({"img": encoded, "label": list(range(count))}), path)
    return images.transpose(0, 3, 1, 2)


def test_photographs_are_drawn_by_seed_and_called_so() -> None:
    first, second, other = (golden.from_photographs((3, 32, 32), Preprocessing(), 5, seed) for seed in (1, 1, 2))
    assert first.frames.shape == (5, 3, 32, 32) and first.frames.dtype == np.float32
    assert np.array_equal(first.frames, second.frames) and not np.array_equal(first.frames, other.frames)
    assert 0 <= first.frames.min() and first.frames.max() <= 1 and first.frames.std() > 0.05
    assert (
        "5 crops of the photographs that scikit-learn ships" in first.source and "not the model's data" in first.source
    )
    pixels = first.frames * 255
    assert np.abs(pixels - np.round(pixels)).max() < 1e-4
    assert golden.from_photographs((1, 28, 28), Preprocessing(), 2, 0).frames.shape == (2, 1, 28, 28)


def test_photographs_are_those_that_scikit_learn_gives() -> None:
    whole = {name: np.asarray(Image.open(golden._photograph_folder() / name)) for name in ("china.jpg", "flower.jpg")}
    assert all(np.array_equal(whole[name], load_sample_image(name)) for name in whole)


def test_the_data_set_where_it_is_at_hand(no_data: Path) -> None:
    assert golden.from_dataset("cifar10", (3, 32, 32), Preprocessing(), 2) is None
    images = write_cifar10(no_data)
    preprocessing = Preprocessing((0.5, 0.25, 0.0), (0.5, 1.0, 2.0))
    golden_inputs = golden.from_dataset("cifar10", (3, 32, 32), preprocessing, 2)
    expected = (images[:2] / 255 - np.reshape(preprocessing.mean, (3, 1, 1))) / np.reshape(preprocessing.std, (3, 1, 1))
    assert np.allclose(golden_inputs.frames, expected, atol=1e-6)
    assert golden_inputs.source.startswith("the first 2 images of the CIFAR-10 test set")
    padded = golden.from_dataset("cifar10", (3, 36, 34), Preprocessing(), 2)
    assert np.array_equal(padded.frames[:, :, 2:-2, 1:-1], (images[:2] / 255).astype(np.float32))
    assert padded.frames[:, :, :2].max() == 0
    assert golden.from_dataset("cifar10", (1, 32, 32), Preprocessing(), 2) is None
    assert golden.from_dataset("imagenet", (3, 224, 224), Preprocessing(), 2) is None


def test_a_damaged_data_set(no_data: Path) -> None:
    write_cifar10(no_data)
    path = no_data / "cifar10" / "plain_text" / "test-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"test-00000-of-00001\.parquet"):
        golden.from_dataset("cifar10", (3, 32, 32), Preprocessing(), 2)


def identity(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float32)


def test_drawn_frames_reach_both_ends_of_the_range() -> None:
    drawn = golden.of_range((1, 10, 49), (np.float32(-2), np.float32(3)), identity, 20, seed=0)
    assert drawn.frames.shape == (20, 1, 10, 49)
    assert (drawn.frames[0] == -2).all() and (drawn.frames[1] == 3).all()
    assert -2 < drawn.frames[2].min() < -1.9 and 2.9 < drawn.frames[2].max() < 3
    assert set(np.unique(drawn.frames[3])) == {-2, 3}
    assert "drawn over the range of the input, -2 to 3" in drawn.source
    channels = (np.array([[[0]], [[1]]], np.float32), np.array([[[1]], [[3]]], np.float32))
    frames = golden.range_frames(channels, (2, 4, 4), 6, seed=0)
    assert frames[:, 0].max() == 1 and frames[:, 1].min() == 1 and frames[:, 1].max() == 3


def test_images_of_a_network_known_by_its_range_reach_black_and_white(no_data: Path) -> None:
    golden_inputs = golden.of_range((3, 20, 20), (np.float32(0), np.float32(255)), identity, 8, seed=0)
    assert (golden_inputs.frames[4] == 0).all() and (golden_inputs.frames[5] == 255).all()
    assert len(np.unique(golden_inputs.frames)) > 200
    assert (
        "photographs" in golden_inputs.source
        and "the last 4 are drawn" in golden_inputs.source
        and "0 to 255" in golden_inputs.source
    )


UNIT = (np.float32(0), np.float32(1))
BYTES = (np.float32(0), np.float32(255))


@pytest.mark.parametrize(
    "frames, ends, message",
    [
        (
            np.linspace(0, 255, 400),
            UNIT,
            "from 0 to 255, but the network takes 0 to 1 by input_range: 100% of its numbers",
        ),
        (
            np.linspace(0, 1, 400),
            BYTES,
            "from 0 to 1, but the network takes 0 to 255 by input_range: it spans 0.4% of that",
        ),
        (
            np.linspace(-1, 1, 400),
            UNIT,
            "from -1 to 1, but the network takes 0 to 1 by input_range: 50% of its numbers",
        ),
    ],
)
def test_frames_that_cannot_be_the_networks_are_refused(frames: np.ndarray, ends: golden.Ends, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        golden.check_range("in.npy", frames.reshape(4, 100), ends, "input_range")


@pytest.mark.parametrize("frames", [np.linspace(0, 1, 400), np.linspace(0.2, 0.5, 400), np.linspace(-0.2, 1.1, 400)])
def test_frames_that_a_quantizer_clips_a_little_may_be_the_networks(frames: np.ndarray) -> None:
    golden.check_range("in.npy", frames.reshape(4, 100), UNIT, "the quantizer of its input")


def test_a_file_of_the_users(tmp_path: Path) -> None:
    path = tmp_path / "in.npy"
    np.save(path, np.ones((3, 4), np.int64))
    golden_inputs = golden.from_file(path, (4,), limit=2)
    assert golden_inputs.frames.shape == (2, 4) and golden_inputs.frames.dtype == np.float32
    assert golden_inputs.source == "2 frames of the user's file in.npy"
    with pytest.raises(
        ConfigError, match=r"golden_inputs: .*in\.npy holds \(3, 4\); expected one array of frames, \(N, 5\)"
    ):
        golden.from_file(path, (5,), limit=2)
    for kind in ("complex64", "bool"):
        np.save(path, np.zeros((3, 4), kind))
        with pytest.raises(ConfigError, match=f"holds values of type {kind}; expected integers or floats"):
            golden.from_file(path, (4,), limit=2)
    np.save(path, np.full((3, 4), np.nan))
    with pytest.raises(ConfigError, match="not finite"):
        golden.from_file(path, (4,), limit=2)
    for content in (b"", b"\x93NUMPY junk", b"text"):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=r"in\.npy cannot be read as a \.npy file"):
            golden.from_file(path, (4,), limit=2)


def test_data_files_are_what_frames_come_from(no_data: Path) -> None:
    assert golden.data_files(None) == []
    write_cifar10(no_data)
    assert [path.name for path in golden.data_files(None)] == ["test-00000-of-00001.parquet"]
    assert golden.data_files(Path("in.npy")) == [Path("in.npy")]


def test_what_is_taken_for_an_image() -> None:
    assert golden.is_image((3, 32, 32)) and golden.is_image((1, 28, 28))
    assert not golden.is_image((1, 10, 49)) and not golden.is_image((16, 32, 32)) and not golden.is_image((784,))
