from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.idx import IdxReader, read_idx
from pipeline.errors import InputError
from tests.datasets.files import idx, write_idx

READER = IdxReader("MNIST")


@pytest.mark.parametrize("packed", [True, False])
def test_both_splits(tmp_path: Path, packed: bool) -> None:
    ending = ".gz" if packed else ""
    for split, prefix, count in (("train", "train", 5), ("test", "t10k", 3)):
        images, labels = write_idx(tmp_path, prefix, count, packed)
        loaded = READER.load(tmp_path, split)
        assert np.array_equal(loaded.images, images) and np.array_equal(loaded.labels, labels)
        assert loaded.source == f"MNIST {split} set ({prefix}-images-idx3-ubyte{ending})" and loaded.classes == 10
        assert [path.name for path in READER.files(tmp_path, split)] == [
            f"{prefix}-images-idx3-ubyte{ending}",
            f"{prefix}-labels-idx1-ubyte{ending}",
        ]
    assert READER.load(tmp_path, "train", 2).source.startswith("first 2 images of the MNIST train set")


def test_an_unpacked_file_that_kept_its_name(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(idx(np.arange(6).reshape(2, 3)))
    assert np.array_equal(read_idx(path, 2), [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"x is empty; expected 00 00 08 02"),
        (b"text", r"x begins with the bytes 74 65 78 74; expected 00 00 08 02, an IDX file of unsigned bytes in 2"),
        (idx(np.zeros((1, 2, 3))), r"begins with the bytes 00 00 08 03; expected 00 00 08 02"),
        (b"\0\0\x0d\x02" + bytes(8), r"begins with the bytes 00 00 0d 02"),
        (idx(np.zeros((2, 3)))[:10], r"ends in its header, after 10 bytes"),
        (idx(np.zeros((2, 3)))[:-1], r"holds 5 bytes after its header; expected 6 for \(2, 3\)"),
        (idx(np.zeros((2, 3))) + b"x", r"holds more bytes after its header; expected 6"),
        (struct.pack(">HBB2I", 0, 8, 2, 2**32 - 1, 2**32 - 1), r"claims to hold .* expected at most 1,073,741,824"),
        (gzip.compress(idx(np.zeros((2, 3))))[:-9], r"cannot be read: .*end-of-stream.* Fetch the file again"),
        (gzip.compress(idx(np.zeros((2, 3))))[:-8] + bytes(8), r"cannot be read: CRC check failed"),
        (b"\x1f\x8b" + bytes(30), r"cannot be read: "),
    ],
    ids=range(11),  # not the content, which has the time in it
)
def test_a_damaged_file(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_idx(path, 2)
    assert str(path) in str(caught.value)


def test_files_that_do_not_belong_together(tmp_path: Path) -> None:
    write_idx(tmp_path, "train", 5, packed=False)
    labels = tmp_path / "train-labels-idx1-ubyte"
    labels.write_bytes(idx(np.arange(4)))
    with pytest.raises(InputError, match="train-labels-idx1-ubyte holds 4 labels; expected 5, one for each image"):
        READER.load(tmp_path, "train")
    labels.write_bytes(idx(np.arange(8, 13)))
    with pytest.raises(InputError, match="holds the label 12; expected 0 to 9"):
        READER.load(tmp_path, "train")
    labels.unlink()
    with pytest.raises(InputError, match="train-labels-idx1-ubyte cannot be read: No such file"):
        READER.load(tmp_path, "train")
    assert len(READER.files(tmp_path, "train")) == 2 and not READER.files(tmp_path, "test")
    labels.write_bytes(idx(np.arange(5)))
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(np.zeros((5, 32, 32))))
    with pytest.raises(InputError, match="images of 32x32; expected 28x28"):
        READER.load(tmp_path, "train")
