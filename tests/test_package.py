"""Packages: what is in them, that they are the same each time, and what is found wrong with one."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from a2q_driver.boxes import boxes, boxes_of_grids
from a2q_driver.errors import DtypeError
from a2q_driver.network_output import NetworkOutput
from a2q_driver.preprocessing import normalised
from a2q_driver.streams import streams_of
from a2q_driver.transforms import load_transforms
from a2q_driver.weights import load_weights
from pipeline import package
from pipeline.board_sim.package import read_package
from pipeline.dataflow.graph import OutputTransform
from pipeline.dataflow.packing import pack
from pipeline.devices.boards import load_board
from pipeline.errors import ModelError
from pipeline.package import BITFILE, Package, simulation_bitfile, verify
from tests.driver.packages import (
    CONFIG_HASH,
    PREPROCESSING,
    golden_images,
    label_graph,
    loading_graph,
    logits_graph,
    make_package,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    package = make_package(folder, label_graph())
    files = sum(1 for path in (folder / "deploy").rglob("*") if path.is_file()) - 1
    assert package == Package("labels", "KV260", "simulation", 6, True, files)
    return folder / "deploy"


@pytest.fixture
def deploy(made: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return shutil.copytree(made, tmp_path / "deploy")


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_manifest_says_what_the_package_is(made):
    manifest = verify(made)
    assert {key: manifest[key] for key in ("format", "model", "board", "part", "family", "config_hash")} == {
        "format": 1,
        "model": "labels",
        "board": "KV260",
        "part": "xck26-sfvc784-2LV-c",
        "family": "xcup",
        "config_hash": CONFIG_HASH,
    }
    assert manifest["weights"] == "synthetic weights, for a test"
    assert manifest["bitstream"] == {"kind": "simulation", "file": BITFILE}
    assert manifest["address_map"] == {"a2q_accelerator_0": [0xA0010000, 0x1000], "axi_dma_0": [0xA0000000, 0x10000]}
    assert manifest["streams"] == {
        "input": {"slot_bytes": 16, "stream_bytes": 16, "beats": 4},
        "output": {"slot_bytes": 1, "stream_bytes": 1, "beats": 1},
    }
    assert manifest["rtl"]["top"] == "a2q_accelerator"
    assert manifest["rtl"]["sources"][-2:] == ["rtl/finn_design_wrapper.sv", "rtl/a2q_accelerator.v"]
    assert set(manifest["files"]) == set(content(made)) - {"manifest.json"}
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in content(made).items() if name != "manifest.json"}
    assert manifest["files"] == hashes


def test_the_terms_and_the_board_go_with_the_package(made):
    root = package.DRIVER.parents[1]
    for name in ("LICENSE", "NOTICE"):
        assert (made / name).read_bytes() == (root / name).read_bytes()
    assert (made / "report" / "board.yaml").read_bytes() == load_board("KV260").file.read_bytes()
    assert json.loads((made / "manifest.json").read_text())["golden_source"] == "a draw"


def test_the_proof_in_it_is_checked_without_the_program_that_wrote_it(deploy):
    command = [sys.executable, "-I", "-S", deploy / "report" / "check_certificate.py"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "1 layers: no sum can leave its accumulator"
    path = deploy / "report" / "accumulators.json"
    path.write_text(path.read_text().replace('"input_signed": true', '"input_signed": false'))
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1 and "WRONG input_signed: False, by the weights True" in done.stdout


def test_the_same_inputs_give_the_same_bytes(made, tmp_path):
    make_package(tmp_path, label_graph())
    assert content(tmp_path / "deploy") == content(made)


def test_the_driver_is_there_and_nothing_that_ran_left(made):
    driver = {path.name for path in package.DRIVER.rglob("*") if path.suffix in (".py", ".md", ".txt")}
    files = {path.name for path in (made / "driver").rglob("*") if path.is_file()}
    assert files == driver - {"conftest.py"} | {"io_shape_dict.json", "transform.npz"}


@pytest.mark.parametrize("graph", [label_graph(), logits_graph()], ids=lambda graph: graph.name)
def test_the_streams_and_transforms_are_those_of_the_graph(graph, tmp_path):
    make_package(tmp_path, graph)
    driver, golden = tmp_path / "deploy" / "driver", tmp_path / "deploy" / "golden"
    sides = streams_of(json.loads((driver / "io_shape_dict.json").read_text()))
    for stream, layer_stream, lanes in (
        (sides[0], graph.streams[graph.input], graph.layers[0].inputs()[0].lanes),
        (sides[1], graph.streams[graph.output], graph.layers[-1].outputs()[0].lanes),
    ):
        assert (stream.shape, stream.lanes) == (layer_stream.shape, lanes)
        assert (stream.bits, stream.signed) == (layer_stream.type.bits, layer_stream.type.signed)
    transforms = load_transforms(driver / "transform.npz")
    frames, images = np.load(golden / "input.npy"), np.load(golden / "images.npy")
    assert np.array_equal(images, golden_images(6))
    integers = transforms.input.apply(frames)
    assert np.array_equal(transforms.images.apply(images), integers)
    outputs = np.load(golden / "expected_output.npy")
    assert np.array_equal(outputs, graph.run(integers))
    memory = np.zeros(6 * sides[0].frame_bytes, np.uint8)
    sides[0].pack(integers, memory)
    beats = pack(integers, graph.streams[graph.input].type, sides[0].lanes)
    assert np.array_equal(memory.reshape(len(beats), -1)[:, : beats.shape[1]], beats)
    assert transforms.gives_label == (graph.name == "labels")
    if graph.name == "logits":
        real = outputs * graph.output_transform.scale + graph.output_transform.bias
        assert np.array_equal(transforms.outputs(outputs), real)


def test_the_anchors_of_a_detector_are_in_the_package(tmp_path):
    """One cell, too."""
    anchors = ((1.5, 2.0), (3.0, 1.0))
    graph = label_graph()
    dense = dataclasses.replace(graph.layers[0], weights=np.random.default_rng(0).integers(-7, 8, (14, 48)))
    after = OutputTransform(np.full(14, 0.01), np.linspace(-1, 1, 14))
    graph = dataclasses.replace(graph, layers=(dense,), output="scores", output_transform=after)
    make_package(tmp_path, graph, anchors=anchors)
    transforms = load_transforms(tmp_path / "deploy" / "driver" / "transform.npz")
    outputs = np.load(tmp_path / "deploy" / "golden" / "expected_output.npy")
    found = transforms.boxes(outputs, score_threshold=0.1)
    expected = boxes(outputs * 0.01 + np.linspace(-1, 1, 14), np.array(anchors), 0.1)
    assert len(found) == 6 and sum(len(of_image.scores) for of_image in found) > 0
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one.corners, other.corners) and np.array_equal(one.classes, other.classes)
    (tmp_path / "other").mkdir()
    with pytest.raises(
        ModelError, match=r"labels has 4 anchors, and 14 channels for each cell; expected anchors \* \(5"
    ):
        make_package(tmp_path / "other", graph, anchors=2 * anchors)


def test_anchors_of_several_outputs_are_by_their_names(tmp_path):
    """Both take what they need of the 32 integers of a frame, in an order of their own."""
    anchors = {"fine": ((1.5, 2.0),), "coarse": ((3.0, 1.0), (1.0, 1.0))}
    places = np.arange(32).reshape(4, 4, 2)
    fine = NetworkOutput("fine", np.moveaxis(places[:, :3], 1, 0).reshape(6, 2, 2))
    coarse = NetworkOutput("coarse", places.ravel()[8:].reshape(12, 2, 1))
    graph = dataclasses.replace(logits_graph(), outputs=(coarse, fine))
    make_package(tmp_path, graph, anchors=anchors)
    transforms = load_transforms(tmp_path / "deploy" / "driver" / "transform.npz")
    integers = np.load(tmp_path / "deploy" / "golden" / "expected_output.npy")
    outputs = transforms.outputs(integers)
    grids = [(np.moveaxis(outputs[name], 1, -1), np.array(own)) for name, own in anchors.items()]
    found = transforms.boxes(integers, score_threshold=0.1)
    expected = boxes_of_grids(grids, 0.1)
    assert len(found) == 6 and sum(len(of_image.scores) for of_image in found) > 0
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one.corners, other.corners) and np.array_equal(one.scores, other.scores)

    for other, message in (
        (
            {"fine": anchors["fine"], "middle": ((1.0, 1.0),)},
            "anchors of an output 'middle'; it has coarse, fine. Export",
        ),
        (
            {"coarse": ((1.0, 1.0),) * 5},
            "logits, output coarse, has 5 anchors, and 12 channels for each cell; expected",
        ),
    ):
        (tmp_path / str(len(other))).mkdir()
        with pytest.raises(ModelError, match=message):
            make_package(tmp_path / str(len(other)), graph, anchors=other)


def test_a_classifier_has_no_boxes(made):
    transforms = load_transforms(made / "driver" / "transform.npz")
    with pytest.raises(DtypeError, match="The package has no anchors"):
        transforms.boxes(np.load(made / "golden" / "expected_output.npy"))


def test_frames_that_are_no_images_are_left_as_they_are(tmp_path):
    frames = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)
    assert not make_package(tmp_path, label_graph(), frames).images
    assert not (tmp_path / "deploy" / "golden" / "images.npy").exists()
    assert load_transforms(tmp_path / "deploy" / "driver" / "transform.npz").images is not None


def test_without_a_known_preprocessing_there_are_no_images(tmp_path):
    assert not make_package(tmp_path, label_graph(), preprocessing=None).images
    assert load_transforms(tmp_path / "deploy" / "driver" / "transform.npz").images is None


def test_a_frame_with_one_element_that_is_no_pixel_is_no_image(tmp_path):
    frames = normalised(np.moveaxis(golden_images(2), -1, 1), PREPROCESSING.mean, PREPROCESSING.std)
    frames[1, 2, 3, 3] = np.nextafter(frames[1, 2, 3, 3], np.float32(9))
    assert not make_package(tmp_path, label_graph(), frames).images


def test_the_stand_in_is_a_bit_file_of_this_configuration_and_handoff(made):
    bit, handoff = (made / BITFILE).read_bytes(), (made / BITFILE).with_suffix(".hwh").read_bytes()
    assert bit == simulation_bitfile("xck26-sfvc784-2LV-c", CONFIG_HASH, handoff)
    fields, offset = {}, 2 + struct.unpack_from(">H", bit)[0] + 2
    while bit[offset : offset + 1] != b"e":
        (length,) = struct.unpack_from(">H", bit, offset + 1)
        fields[bit[offset : offset + 1].decode()] = bit[offset + 3 : offset + 3 + length].decode()
        offset += 3 + length
    assert fields["a"].split(";")[0] == "a2q-simulation-only" and fields["b"] == "xck26-sfvc784-2LV-c\0"
    data = bit[offset + 5 :]
    assert struct.unpack_from(">I", bit, offset + 1) == (len(data),) and len(data) % 4 == 0
    assert data == b"A2Q-SIMULATION\0\0" + bytes.fromhex(CONFIG_HASH) + hashlib.sha256(handoff).digest()


def test_weights_that_are_loaded_lie_beside_the_bitstream(tmp_path):
    graph = loading_graph()
    make_package(tmp_path, graph)
    deploy = tmp_path / "deploy"
    manifest = verify(deploy)
    words = load_weights(deploy)
    assert manifest["runtime_weights"] == {"file": "bitfile/weights.bin", "words": len(words)}
    np.testing.assert_array_equal(words, graph.layers[0].loaded_memory().stream())
    assert "bitfile/weights.bin" in manifest["files"] and "rtl/weights.bin" not in manifest["files"]
    assert read_package(deploy).model == "loading"


def test_without_weights_to_load_there_is_no_such_file(made):
    assert "runtime_weights" not in verify(made)
    assert not any("weights.bin" in name for name in verify(made)["files"])


def test_the_simulated_board_takes_it(made):
    assert read_package(made).config_hash == CONFIG_HASH


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "golden" / "input.npy").unlink(), "input.npy is missing"),
        (lambda folder: (folder / BITFILE).write_bytes(b""), "finn-accel.bit has changed"),
        (lambda folder: (folder / "driver" / "numpy.py").write_bytes(b""), "numpy.py is not listed"),
        (lambda folder: (folder / "manifest.json").write_text("{}"), "format None"),
        (lambda folder: os.remove(folder / "manifest.json"), "cannot be read"),
    ],
)
def test_a_damaged_package_is_found(deploy, damage, message):
    damage(deploy)
    with pytest.raises(ModelError, match=f"{message}.* Build the package again."):
        verify(deploy)


def test_golden_outputs_that_the_graph_does_not_give_are_refused(tmp_path):
    frames = np.zeros((2, 3, 4, 4), np.float32)
    with pytest.raises(ModelError, match="not what the graph labels gives"):
        make_package(tmp_path, label_graph(), frames, np.full((2, 1, 1, 1), 7))


def test_a_graph_that_does_not_take_frames_is_refused(tmp_path):
    graph = dataclasses.replace(label_graph(), input_transform=None)
    with pytest.raises(ModelError, match="labels does not say how frames become integers"):
        make_package(tmp_path, graph, np.zeros((2, 3, 4, 4), np.float32), np.zeros((2, 1, 1, 1), np.int64))


def test_a_source_that_is_not_there_is_found(tmp_path):
    with pytest.raises(ModelError, match=r"lacks the source rtl/missing.sv"):
        make_package(tmp_path, label_graph(), sources=["missing.sv"])
