"""Vision transformers: what torch's own layers compute, by torchvision's names; no hardware, said in a sentence."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from pipeline import build
from pipeline.errors import ModelError, UnsupportedError
from pipeline.models import names, resolve
from pipeline.models.names import MODELS, find, spec_of
from pipeline.models.quantization import Quantization
from pipeline.models.registry import image_network, load_checkpoint, trained_network
from pipeline.models.vit import ViT
from pipeline.training.checkpoints import save_checkpoint

SMALL = {"num_classes": 7, "input_shape": (3, 64, 64), "width": 1 / 16}  # 48 numbers a token


class TorchBlock(nn.Module):
    """A block as torchvision has it, with its names."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(size, 1e-6)
        self.self_attention = nn.MultiheadAttention(size, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(size, 1e-6)
        self.mlp = nn.Sequential(
            nn.Linear(size, 4 * size), nn.GELU(), nn.Dropout(0.0), nn.Linear(4 * size, size), nn.Dropout(0.0)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.ln_1(x)
        x = x + self.self_attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class TorchViT(nn.Module):
    def __init__(self, size: int = 48) -> None:
        super().__init__()
        self.conv_proj = nn.Conv2d(3, size, 32, 32)
        self.class_token = nn.Parameter(torch.randn(1, 1, size))
        blocks = {f"encoder_layer_{i}": TorchBlock(size, 12) for i in range(12)}
        self.encoder = nn.ModuleDict({"layers": nn.ModuleDict(blocks), "ln": nn.LayerNorm(size, 1e-6)})
        self.encoder.register_parameter("pos_embedding", nn.Parameter(torch.randn(1, 5, size)))
        self.heads = nn.ModuleDict({"head": nn.Linear(size, 7)})

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.conv_proj(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], dim=1) + self.encoder.pos_embedding
        for block in self.encoder["layers"].values():
            x = block(x)
        return self.heads["head"](self.encoder["ln"](x)[:, 0])


@pytest.mark.parametrize("old_names", [False, True])
def test_it_computes_what_torchs_layers_do_from_a_checkpoint_of_torchvisions_names(tmp_path: Path, old_names) -> None:
    torch.manual_seed(0)
    theirs, ours = TorchViT().eval(), ViT(12, **SMALL).eval()
    state = theirs.state_dict()
    if old_names:
        renamed = {"mlp.0.": "mlp.linear_1.", "mlp.3.": "mlp.linear_2."}
        for before, after in renamed.items():
            state = {name.replace(before, after): tensor for name, tensor in state.items()}
    torch.save(state, tmp_path / "vit.pth")
    load_checkpoint(ours, tmp_path / "vit.pth")
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-4, atol=1e-5)


def test_vit_b_32_has_the_parameters_of_torchvisions() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in image_network(find("vit_b_32")).parameters()) == 88_224_232


def test_images_that_are_no_whole_patches_are_refused() -> None:
    with pytest.raises(ModelError, match=r"Images of 30×30 pixels are not whole patches of 4×4"):
        ViT(4, num_classes=10, input_shape=(3, 30, 30))


def test_a_build_refuses_it_by_operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of("vit4", Quantization.parse("w4a4"), width=0.25)
    network = image_network(spec).train()
    network(torch.rand(4, 3, 32, 32))
    path = tmp_path / f"{spec.name}.pth"
    save_checkpoint(network.eval(), path, {**spec.as_record(), "top1": 0.1})
    for model, weights in ((str(path), "trained"), ("quant_vit4_w4a4", "synthetic")):
        with pytest.raises(
            UnsupportedError, match=r"operators LayerNormalization, Softmax, Gelu, MatMul of two activations, for which"
        ):
            resolve.run(model, weights, 0, 2, None, tmp_path / "out")
    monkeypatch.chdir(tmp_path)  # where it goes by its name, whatever that is
    trained = Path("trained", "ptq_vit.pth")
    save_checkpoint(network, trained, {**spec.as_record(), "top1": 0.1})
    with pytest.raises(UnsupportedError, match="ptq_vit has the operators"):
        build("ptq_vit", until="resolve", progress=False)


@pytest.mark.parametrize(("name", "file"), [("resnet18_imagenet", "resnet18"), ("vit_b_32", "vit_b_32")])
def test_a_torchvision_checkpoint_is_had_by_name_or_put_where_the_error_says(
    name: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A2Q_CACHE", str(tmp_path))
    spec = replace(MODELS[name], url=f"http://127.0.0.1:9/{file}-00000000.pth")
    monkeypatch.setitem(names.MODELS, name, spec)
    path = tmp_path / "models" / f"{file}-00000000.pth"
    with pytest.raises(ModelError, match=f"could not be downloaded from {spec.url}: .* Put the file at {path}\\.$"):
        trained_network(name)
    assert MODELS[name].published_top1 and MODELS[name].input_shape == (3, 224, 224)
    if name == "vit_b_32":
        return  # a file of its size is not made here
    network = image_network(spec)
    state = {key.replace("linear.", "fc."): tensor for key, tensor in network.state_dict().items()}
    torch.save(state, path)
    digits = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    monkeypatch.setitem(names.MODELS, name, replace(spec, digits=digits))
    found, filled, at = trained_network(name)
    assert (found.num_classes, at) == (1000, path)
    assert torch.equal(filled.linear.weight, network.linear.weight)
    assert filled.normalization is not None and filled.normalization.mean == (0.485, 0.456, 0.406)
