from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from brevitas_examples.super_resolution import models as super_resolution
from brevitas_examples.super_resolution.models import model_url

from pipeline.errors import ModelError
from pipeline.models import registry
from pipeline.models.a2q import a2q_layers
from pipeline.models.names import MODELS, SHIPPED, find, spec_of
from pipeline.models.quantization import Quantization
from pipeline.models.registry import (
    DownloadError,
    available,
    checkpoint_record,
    fetch,
    load_checkpoint,
    network,
    read_state,
    stands_in,
    trained_network,
)

OURS = MODELS["quant_resnet8_w4a4_a2q_14b"]
THEIRS = MODELS["quant_resnet18_w4a4_a2q_plus_12b"]
TINY = spec_of("resnet8", Quantization.parse("w4a4_a2q_14b"), width=0.25)


def test_the_released_models() -> None:
    assert (THEIRS.method, THEIRS.accumulator_bits, THEIRS.digits) == ("a2q_plus", 12, "d69f003b")
    assert THEIRS.file == "quant_resnet18_w4a4_a2q_plus_12b-d69f003b.pth"
    assert len(a2q_layers(network(THEIRS))) == 19


def test_the_released_models_for_super_resolution_are_those_of_brevitas() -> None:
    ours = {name: spec for name, spec in MODELS.items() if spec.family == "espcn_x2"}
    assert {name: spec.url for name, spec in ours.items()} == {
        name: url.replace("download//", "download/") for name, url in model_url.items() if name.startswith("quant_")
    }
    page = (Path(super_resolution.__file__).parents[1] / "README.md").read_text()
    for name, spec in ours.items():
        assert spec.digits in spec.file and spec.quantization.suffix in name
        (row,) = [line for line in page.splitlines() if line.startswith(f"| [{name}]")]
        assert float(row.split("|")[-2]) == spec.published_psnr


def test_a_model_without_a_checkpoint() -> None:
    with pytest.raises(
        ModelError,
        match=r"There is no checkpoint of quant_vgg11_w2a2 here. Train it \(a2q train CONFIG\), or .*WEIGHTS=synthetic",
    ):
        fetch(find("quant_vgg11_w2a2"))
    with pytest.raises(ModelError, match=r"no checkpoint of vgg11 here. Train it \(a2q train CONFIG\)\.$"):
        fetch(find("vgg11"))
    with pytest.raises(
        ModelError, match=r"of quant_espcn_x3_w2a2 here. Give the path of one, .* no data set for it here, or"
    ):
        fetch(find("quant_espcn_x3_w2a2"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("A2Q_CACHE", str(tmp_path))
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def test_a_file_that_was_put_there_is_taken(cache: Path) -> None:
    content = b"weights"
    spec = replace(THEIRS, digits=hashlib.sha256(content).hexdigest()[:8])
    (cache / spec.file).write_bytes(content)
    assert fetch(spec) == cache / spec.file


def test_wrong_checksum(cache: Path) -> None:
    (cache / THEIRS.file).write_bytes(b"something else")
    with pytest.raises(
        ModelError, match="which should begin with d69f003b. Delete it, and it is fetched from https://"
    ):
        fetch(THEIRS)


def test_a_download_that_fails_says_what_to_do(cache: Path) -> None:
    spec = replace(THEIRS, url="http://127.0.0.1:9/quant-d69f003b.pth")
    with pytest.raises(ModelError) as caught:
        fetch(spec)
    message = str(caught.value)
    assert "could not be downloaded from http://127.0.0.1:9/quant-d69f003b.pth" in message
    assert f"Put the file at {cache / spec.file}" in message and "WEIGHTS=synthetic" in message
    assert not list(cache.iterdir()), "nothing is left behind"


def test_what_this_repository_has_stands_in_for_a_release_that_cannot_be_had(cache: Path) -> None:
    name = "quant_resnet18_w4a4_a2q_12b"
    content = b"weights"
    digits = hashlib.sha256(content).hexdigest()[:8]
    asked = replace(MODELS[name], url=f"http://127.0.0.1:9/{name}-{digits}.pth", digits=digits)
    spec, path, message = available(asked)
    assert spec == SHIPPED[name] and path == registry.CHECKPOINTS / f"{name}.pth"
    assert "in place of the release: " in message and f"Put the file at {cache / asked.file}" in message
    assert "synthetic" not in message and "could not be downloaded" in stands_in(spec)
    assert not stands_in(asked) and not stands_in(OURS)
    (cache / asked.file).write_bytes(content)
    assert available(asked) == (asked, cache / asked.file, "")
    with pytest.raises(DownloadError):
        available(replace(THEIRS, url="http://127.0.0.1:9/quant-d69f003b.pth"))


@pytest.fixture
def server(tmp_path: Path):
    """A web server on this machine; gives the address of the folder that it serves, and the folder."""
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *unused: object) -> None:
            pass

    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as http:
        Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}", folder
        http.shutdown()


def test_a_download_is_checked_and_kept(cache: Path, server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    address, folder = server
    content = b"weights"
    digits = hashlib.sha256(content).hexdigest()[:8]
    spec = replace(THEIRS, url=f"{address}/w-{digits}.pth", digits=digits)
    (folder / spec.file).write_bytes(content)
    assert fetch(spec).read_bytes() == content
    (folder / spec.file).unlink()
    assert fetch(spec).read_bytes() == content, "the second time nothing is downloaded"

    other = replace(THEIRS, url=f"{address}/other.pth", digits="00000000")
    (folder / "other.pth").write_bytes(content)
    with pytest.raises(
        ModelError, match="What was downloaded from .* should begin with 00000000. Put the right file at"
    ):
        fetch(other)
    assert [path.name for path in cache.iterdir()] == [spec.file]


def test_our_checkpoint_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "CHECKPOINTS", tmp_path)
    with pytest.raises(ModelError, match=r"The record .*14b\.json of the checkpoint .* cannot be read"):
        fetch(OURS)
    record = tmp_path / "quant_resnet8_w4a4_a2q_14b.json"
    record.write_text(json.dumps({"sha256": hashlib.sha256(b"right").hexdigest(), "top1": 0.8}))
    with pytest.raises(ModelError, match=r"14b\.pth is missing. Restore the file from the repository"):
        fetch(OURS)
    (tmp_path / OURS.file).write_bytes(b"wrong")
    with pytest.raises(ModelError, match="has the SHA-256 .* Restore the file from the repository"):
        fetch(OURS)
    (tmp_path / OURS.file).write_bytes(b"right")
    assert fetch(OURS) == tmp_path / OURS.file


@pytest.fixture(scope="module")
def resnet8():
    model = network(TINY)
    with torch.no_grad():
        model.train()(torch.rand(2, 3, 32, 32))  # the scales of activations are born in a training pass
    return model.eval()


def test_hidden_convolutions_are_a2q(resnet8) -> None:
    names = set(a2q_layers(resnet8))
    assert len(names) == 8 and "conv1" not in names and "linear" not in names
    assert "layer2.0.downsample.0" in names


def test_a_bias_in_the_file_gets_a_place(resnet8, tmp_path: Path) -> None:
    state = {**resnet8.state_dict(), "layer1.0.conv1.bias": torch.arange(4.0)}
    torch.save(state, tmp_path / "w.pth")
    model = network(TINY)
    load_checkpoint(model, tmp_path / "w.pth")
    assert torch.equal(model.layer1[0].conv1.bias, torch.arange(4.0))


def test_damaged_checkpoints(resnet8, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save(resnet8.state_dict(), path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"not a checkpoint"):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"w\.pth is not loaded: it is damaged"):
            load_checkpoint(resnet8, path)
    torch.save([1, 2], path)
    with pytest.raises(ModelError, match="holds a list; expected the weights of a network by name"):
        load_checkpoint(resnet8, path)
    torch.save({"epoch": 3}, path)
    with pytest.raises(ModelError, match="holds a dict of other things; expected the weights"):
        load_checkpoint(resnet8, path)
    torch.save({**resnet8.state_dict(), "bn1.bias": torch.full((4,), torch.nan)}, path)
    with pytest.raises(ModelError, match="of a training that diverged: bn1.bias has values that are no numbers"):
        load_checkpoint(resnet8, path)
    state = resnet8.state_dict()
    del state["conv1.weight"]
    torch.save(state, path)
    with pytest.raises(ModelError, match='does not fit the network: Missing key.* "conv1.weight"'):
        load_checkpoint(resnet8, path)


class Runs:
    """Unpickling it would run code."""

    def __reduce__(self):
        return (print, ("code ran",))


def test_a_checkpoint_runs_no_code(resnet8, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    torch.save({"conv1.weight": Runs()}, tmp_path / "w.pth")
    with pytest.raises(ModelError, match="w.pth is not loaded: it holds more than weights and plain values"):
        load_checkpoint(resnet8, tmp_path / "w.pth")
    assert "code ran" not in capsys.readouterr().out


def test_a_checkpoint_that_says_what_it_is(resnet8, tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    record = {**TINY.as_record(), "top1": 0.5}
    torch.save({"record": record, "state": resnet8.state_dict()}, path)
    spec, model, checkpoint = trained_network(str(path))
    assert (spec, checkpoint) == (replace(TINY, name="mine"), path)
    assert list(read_state(path)) == list(resnet8.state_dict()) and checkpoint_record(path) == record
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(model(images), resnet8(images))

    torch.save(resnet8.state_dict(), path)
    with pytest.raises(ModelError, match="mine.pth does not say which network it is of"):
        trained_network(str(path))
    path.with_suffix(".json").write_text(json.dumps(TINY.as_record()))
    assert trained_network(str(path))[0] == spec
    path.with_suffix(".json").write_text("{")
    with pytest.raises(ModelError, match=r"The record .*mine\.json of a checkpoint cannot be read"):
        trained_network(str(path))
