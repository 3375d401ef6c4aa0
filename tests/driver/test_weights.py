"""Weights that are loaded at start-up, as a package holds them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from a2q_driver.errors import PackageError
from a2q_driver.manifest import write_manifest
from a2q_driver.weights import in_memory, load_weights
from tests.driver.test_manifest import FACTS

WORDS = np.array([0xFFFFFFFF, 0, 0x12345678], np.uint32)


def package(folder: Path, content: bytes, words: int) -> Path:
    (folder / "weights.bin").write_bytes(content)
    write_manifest(folder, {**FACTS, "runtime_weights": {"file": "weights.bin", "words": words}})
    return folder


def test_the_words_are_those_of_the_file(tmp_path):
    loaded = load_weights(package(tmp_path, WORDS.astype("<u4").tobytes(), 3))
    assert loaded.dtype == np.uint32
    np.testing.assert_array_equal(loaded, WORDS)


def test_a_package_without_them_has_none(tmp_path):
    write_manifest(tmp_path, FACTS)
    assert load_weights(tmp_path).shape == (0,)
    assert in_memory(load_weights(tmp_path), 8).shape == (0,)


@pytest.mark.parametrize(("content", "words"), [(bytes(12), 4), (bytes(12), 2), (bytes(13), 3), (b"", 1)])
def test_a_file_of_another_size_is_refused(tmp_path, content, words):
    with pytest.raises(PackageError, match=f"has {len(content)} bytes; manifest.json says {words} words of 4 bytes"):
        load_weights(package(tmp_path, content, words))


def test_a_file_that_changed_is_refused(tmp_path):
    package(tmp_path, bytes(12), 3)
    (tmp_path / "weights.bin").write_bytes(bytes(11) + b"1")
    with pytest.raises(PackageError, match="weights.bin has changed"):
        load_weights(tmp_path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(PackageError, match="weights.bin is missing"):
        load_weights(tmp_path)


@pytest.mark.parametrize("stream_bytes", [1, 2, 4, 8, 64])
def test_memory_holds_whole_words_of_the_stream(stream_bytes):
    memory = in_memory(WORDS, stream_bytes)
    assert len(memory) % stream_bytes == 0 and len(memory) - 12 in range(stream_bytes)
    assert memory[:12].tobytes() == WORDS.astype("<u4").tobytes()
    assert not memory[12:].any()
