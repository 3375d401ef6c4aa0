from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.catalog import load
from pipeline.datasets.cifar import CifarReader
from pipeline.errors import InputError
from tests.datasets.files import cifar_binary, cifar_pickle, draw, write_parquet, write_tar

DATA = os.environ.get("A2Q_DATA", "")
BATCHES = 5


def contents(kind: str) -> tuple[dict[str, bytes], np.ndarray, np.ndarray]:
    """The files of CIFAR-10's binary or Python version, and the training images and labels in them."""
    images, labels = draw(3 * BATCHES + 2)
    if kind == "binary":
        folder, ending, write = "cifar-10-batches-bin", ".bin", cifar_binary
    else:
        folder, ending, write = "cifar-10-batches-py", "", cifar_pickle
    parts = zip(np.split(images[: 3 * BATCHES], BATCHES), np.split(labels[: 3 * BATCHES], BATCHES), strict=True)
    # The official archives hold their files in no order.
    files = {f"{folder}/data_batch_{i}{ending}": write(*part) for i, part in reversed([*enumerate(parts, 1)])}
    files[f"{folder}/test_batch{ending}"] = write(images[3 * BATCHES :], labels[3 * BATCHES :])
    return files, images, labels


def unpack(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return path.parent


@pytest.mark.parametrize("kind", ["binary", "python"])
def test_cifar10_as_its_publisher_stores_it(tmp_path: Path, kind: str) -> None:
    files, images, labels = contents(kind)
    write_tar(tmp_path / f"cifar-10-{kind}.tar.gz", files)
    unpacked = unpack(tmp_path / "unpacked", files)
    reader = CifarReader(10)
    ending = ".bin" if kind == "binary" else ""
    sources = {f"cifar-10-{kind}.tar.gz", f"data_batch_1{ending} to data_batch_5{ending}"}
    for folder in (tmp_path, unpacked, unpacked.parent):
        training, test = reader.load(folder, "train"), reader.load(folder, "test")
        assert np.array_equal(training.images, images[: 3 * BATCHES])
        assert np.array_equal(training.labels, labels[: 3 * BATCHES])
        assert np.array_equal(test.images, images[3 * BATCHES :]) and np.array_equal(test.labels, labels[3 * BATCHES :])
        assert training.source in {f"CIFAR-10 train set ({source})" for source in sources} and training.classes == 10
    assert len(reader.load(tmp_path, "train", 4)) == 4


@pytest.mark.parametrize("kind", ["binary", "python"])
def test_cifar100_has_fine_labels(tmp_path: Path, kind: str) -> None:
    images, fine = draw(4, classes=100)
    coarse = fine // 5
    if kind == "binary":
        files = {"cifar-100-binary/test.bin": cifar_binary(images, coarse, fine)}
    else:
        files = {"cifar-100-python/test": cifar_pickle(images, fine, "fine_labels")}
    write_tar(tmp_path / f"cifar-100-{kind}.tar.gz", files)
    loaded = CifarReader(100).load(tmp_path, "test")
    assert np.array_equal(loaded.images, images) and np.array_equal(loaded.labels, fine)
    assert loaded.source == f"CIFAR-100 test set (cifar-100-{kind}.tar.gz)" and loaded.classes == 100


def test_a_pickle_of_python_3(tmp_path: Path) -> None:
    images, labels = draw(2)
    data = pickle.dumps({"labels": labels.tolist(), "data": images.reshape(2, -1)}, protocol=2)
    unpack(tmp_path, {"cifar-10-batches-py/test_batch": data})
    assert np.array_equal(CifarReader(10).load(tmp_path, "test").images, images)


def test_a_malicious_pickle_runs_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "marker"

    class Malicious:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(marker),)

    class AlsoNumpy:
        def __reduce__(self) -> tuple:
            return np.load, (str(marker),)

    for payload, name in ((Malicious(), "posix.mkdir"), (AlsoNumpy(), "numpy.load")):
        unpack(tmp_path, {"cifar-10-batches-py/test_batch": pickle.dumps({"data": payload, "labels": []}, protocol=2)})
        with pytest.raises(InputError, match=f"test_batch cannot be read: it asks for {name}"):
            CifarReader(10).load(tmp_path, "test")
    assert not marker.exists()
    pickle.loads(pickle.dumps(Malicious()))
    assert marker.exists()


def array_pickle(array: np.ndarray) -> bytes:
    return pickle.dumps({"data": array, "labels": [0]}, protocol=2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Ran out of input"),
        (cifar_pickle(*draw(2))[:-500], "truncated"),
        (b"text", ""),
        (pickle.dumps([1], protocol=2), "it holds a list, not a dictionary"),
        (pickle.dumps({"labels": [1]}, protocol=2), "it has no data"),
        (array_pickle(np.zeros((1, 3072))), "another type than unsigned bytes"),
        (array_pickle(np.array([[None]])), "another type than unsigned bytes"),
        (array_pickle(np.zeros((1, 5), np.uint8)), r"its data are \(1, 5\); expected \(N, 3072\)"),
        (cifar_pickle(draw(2)[0], np.array([1])), "holds 1 labels for 2 images"),
        (cifar_pickle(draw(2)[0], np.array([1, 10])), "holds labels from 1 to 10; expected 0 to 9"),
        (cifar_pickle(draw(2)[0], np.array([1, -1])), "no list of labels"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # not thousands of bytes
)
def test_a_damaged_pickle(tmp_path: Path, content: bytes, message: str) -> None:
    unpack(tmp_path, {"cifar-10-batches-py/test_batch": content})
    with pytest.raises(InputError, match=f"test_batch cannot be read: .*{message}"):
        CifarReader(10).load(tmp_path, "test")


def test_damaged_binary_files_and_archives(tmp_path: Path) -> None:
    files, _, _ = contents("binary")
    archive = tmp_path / "cifar-10-binary.tar.gz"
    write_tar(archive, {name: data for name, data in files.items() if "batch_3" not in name})
    with pytest.raises(InputError, match=r"binary\.tar\.gz holds no cifar-10-batches-bin/data_batch_3\.bin"):
        CifarReader(10).load(tmp_path, "train")
    whole = archive.read_bytes()
    for content in (whole[:5000], b"text", b"", whole[:5000] + bytes(100) + whole[5100:]):
        archive.write_bytes(content)
        with pytest.raises(InputError, match=r"cifar-10-binary\.tar\.gz cannot be read"):
            CifarReader(10).load(tmp_path, "train")
    unpack(tmp_path, files)
    path = tmp_path / "cifar-10-batches-bin" / "data_batch_2.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(
        InputError, match=r"data_batch_2\.bin cannot be read: it holds 9,218 bytes; expected a multiple"
    ):
        CifarReader(10).load(tmp_path, "train")
    path.unlink()
    with pytest.raises(InputError, match=r"data_batch_2\.bin cannot be read: No such file"):
        CifarReader(10).load(tmp_path, "train")


def test_parquet_says_whether_it_is_lossy(tmp_path: Path) -> None:
    images, labels = draw(4)
    path = tmp_path / "plain_text" / "test-00000-of-00001.parquet"
    write_parquet(path, images, {"label": labels.tolist()})
    loaded = CifarReader(10).load(tmp_path, "test")
    assert np.array_equal(loaded.images, images) and np.array_equal(loaded.labels, labels)
    assert loaded.source == "CIFAR-10 test set (test-00000-of-00001.parquet)"
    write_parquet(path, images, {"label": labels.tolist()}, "jpeg")
    loaded = CifarReader(10).load(tmp_path, "test", 3)
    expected = "first 3 images of the CIFAR-10 test set (test-00000-of-00001.parquet, JPEG re-compressed)"
    assert loaded.source == expected and len(loaded) == 3 and np.array_equal(loaded.labels, labels[:3])
    files, _, _ = contents("binary")
    write_tar(tmp_path / "cifar-10-binary.tar.gz", files)
    assert CifarReader(10).load(tmp_path, "test").source == "CIFAR-10 test set (cifar-10-binary.tar.gz)"


def test_parquet_of_cifar100(tmp_path: Path) -> None:
    images, fine = draw(4, classes=100)
    path = tmp_path / "cifar100" / "train-00000-of-00001.parquet"
    write_parquet(path, images, {"coarse_label": (fine // 5).tolist(), "fine_label": fine.tolist()})
    loaded = CifarReader(100).load(tmp_path, "train")
    assert np.array_equal(loaded.images, images) and np.array_equal(loaded.labels, fine)
    assert CifarReader(100).files(tmp_path, "train") == [path] and not CifarReader(100).files(tmp_path, "test")


def test_damaged_parquet(tmp_path: Path) -> None:
    images, labels = draw(3)
    path = tmp_path / "plain_text" / "test-00000-of-00001.parquet"

    def refused(message: str) -> None:
        with pytest.raises(InputError, match=rf"test-00000-of-00001\.parquet cannot be read: .*{message}"):
            CifarReader(10).load(tmp_path, "test")

    write_parquet(path, images, {"label": labels.tolist()})
    path.write_bytes(path.read_bytes()[:-100])
    refused("")
    write_parquet(path, images, {"fine_label": labels.tolist()})
    refused("no column label")
    write_parquet(path, images, {"label": [1, 2, 10]})
    refused("labels from 0 to 9")
    write_parquet(path, images, {"label": [1, None, 2]})
    refused("labels from 0 to 9")
    write_parquet(path, images[:, :, :30], {"label": [1, 2, 3]})
    refused("image 0 has 32x30 pixels; expected 32x32")
    write_parquet(path, images, {"label": [1, 2, 3]}, "gif")
    refused("image 0 is damaged, or neither PNG nor JPEG")


@pytest.mark.skipif(
    not (DATA and CifarReader(10).files(Path(DATA, "cifar10"), "test")), reason="A2Q_DATA names no folder with CIFAR-10"
)
def test_the_real_test_set() -> None:
    loaded = load("cifar10", "test")
    assert loaded.images.shape == (10_000, 3, 32, 32)
    assert np.array_equal(np.bincount(loaded.labels), [1000] * 10)
    # The original's mean is 0.4942, 0.4851, 0.4504 on the test set; JPEG hardly changes it.
    assert np.allclose(loaded.images.mean((0, 2, 3)) / 255, [0.4942, 0.4851, 0.4504], atol=2e-3)
    assert ("JPEG re-compressed" in loaded.source) == (".parquet" in loaded.source)
