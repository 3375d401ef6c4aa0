from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.files import TRAIN_CONFIGS
from pipeline.training.benchmark import l1_bound, load_benchmark
from pipeline.training.config import TrainConfig, load_train_config

BENCHMARKS = sorted((TRAIN_CONFIGS.parent / "benchmark").glob("*.yaml"))
SHIPPED = sorted(path for path in TRAIN_CONFIGS.glob("*.yaml") if path.name != "base.yaml")
BITS = {"weight_bits": 4, "act_bits": 4}


def refused(tmp_path: Path, text: str) -> str:
    path = tmp_path / "own.yaml"
    path.write_text(f"inherit: {TRAIN_CONFIGS / 'base.yaml'}\n{text}\n")
    with pytest.raises(ConfigError) as caught:
        load_train_config(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_configurations_are_named_after_what_they_train(path: Path) -> None:
    config = load_train_config(path)
    assert path.stem == f"{config.dataset}_{config.name}"


def test_the_base_says_what_is_the_default() -> None:
    assert load_train_config(TRAIN_CONFIGS / "base.yaml") == TrainConfig()


def test_a_name_says_family_bits_and_bound() -> None:
    bound = {"method": "a2q_plus", "bit_width": 13}
    assert TrainConfig(network="resnet20").name == "resnet20"
    assert TrainConfig(network="resnet20", quantization=BITS).name == "quant_resnet20_w4a4"
    assert (
        TrainConfig(network="resnet20", quantization=BITS, accumulator=bound).name == "quant_resnet20_w4a4_a2q_plus_13b"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("epoch: 3", "there is no option 'epoch'. Did you mean epochs?"),
        ("optimizer: {learning_rate: 1}", "there is no option 'learning_rate' in optimizer"),
        ("epochs: 0", "epochs is 0; expected a whole number of epochs of 1 or more"),
        ("loss: mse", "loss is 'mse'; expected cross_entropy or squared_hinge, for boxes yolo"),
        ("quantization: {weight_bits: 9}", "quantization.weight_bits is 9; expected a whole number of bits from 1"),
        ("quantization: {bits: 9}", "there is no option 'bits' in quantization"),
        ("accumulator: {method: a2q, bit_width: 14}", "accumulator needs a quantized network"),
        ("quantization: {weight_bits: 4}\nprecision: '16'", "computed in float32"),
        ("early_stopping: 3", "early_stopping needs images to judge by"),
        ("schedule: {warmup: 24}", "schedule.warmup is 24 of 24 epochs; expected fewer"),
        ("dataset: imagenet\naugmentation: {crop: 4}", "augmentation is given for imagenet, which has its own"),
        ("normalization: {mean: [0.5], std: [0]}", "normalization.std is 0; expected a number above 0"),
        ("quantization: {}\naccumulator: {method: a2q}", "accumulator.bit_width is None; expected a whole number"),
        ("schedule: {name: step}", "schedule.milestones is empty"),
        ("network: espcn_x2", "network is 'espcn_x2', for which there is no data set here"),
        (
            "network: unet",
            "is 'cifar10', of classes of images, and unet is a network for pixels of images. Choose shape_masks",
        ),
        (
            "dataset: modulations",
            "classes of signals from -2 to 2, and resnet8 is a network for classes of images. Choose mn",
        ),
        ("network: tinyyolo\ndataset: shape_boxes", "loss is 'cross_entropy'; for boxes of shape_boxes it is yolo."),
        (
            "network: unet\ndataset: shape_masks\naugmentation: {flip: true}",
            "whose images are made here and are not moved",
        ),
        ("inherit: nowhere.yaml", "cannot be read"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    if text.startswith("inherit"):
        path = tmp_path / "own.yaml"
        path.write_text(text)
        with pytest.raises(ConfigError, match=expected):
            load_train_config(path)
    else:
        assert expected in refused(tmp_path, text)


def test_a_bound_needs_its_width_and_a_width_its_method() -> None:
    with pytest.raises(ConfigError, match="accumulator"):
        TrainConfig(quantization=BITS, accumulator={"method": "a2q"})
    with pytest.raises(ConfigError, match="accumulator"):
        TrainConfig(quantization=BITS, accumulator={"bit_width": 12})


def test_one_cycle_is_that_of_torch() -> None:
    config = TrainConfig(epochs=3, schedule={"name": "one_cycle"})
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=30, pct_start=0.2)
    for step in range(30):
        assert config.rate(step, 10) == pytest.approx(theirs.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        if step < 29:
            theirs.step()


@given(
    st.sampled_from(["constant", "step", "cosine", "one_cycle"]),
    st.integers(1, 9),
    st.integers(1, 20),
    st.sampled_from([0, 0.5, 0.99]),
)
def test_a_rate_is_a_share_of_its_peak(name: str, epochs: int, steps: int, warmup: float) -> None:
    config = TrainConfig(epochs=epochs, schedule={"name": name, "warmup": warmup, "milestones": [1, 2]})
    rates = [config.rate(step, steps) for step in range(epochs * steps + 1)]  # LambdaLR asks for one more
    assert all(0 <= rate <= 1 for rate in rates)
    if name == "step" and epochs > 2:
        assert rates[-1] == pytest.approx(0.01)


def test_a_benchmark_names_the_row_that_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "b.yaml"
    base = TRAIN_CONFIGS / "cifar10_quant_resnet8_w4a4.yaml"
    path.write_text(f"base: {base}\nrows: [{{}}, {{epochs: many}}]\n")
    with pytest.raises(ConfigError, match="row 2: .*epochs is 'many'"):
        load_benchmark(path)
    path.write_text(f"base: {base}\nrows: [{{}}, {{epochs: 3}}]\n")
    with pytest.raises(ConfigError, match="quant_resnet8_w4a4 is in two rows"):
        load_benchmark(path)
    path.write_text(f"base: {base}\nrows: [{{init: resnet8}}, {{quantization: null}}]\n")
    with pytest.raises(ConfigError, match="row 1: init is resnet8, which is trained later; move its row up"):
        load_benchmark(path)
    path.write_text(f"base: {base}\nrows: [{{init: mine/w.pth}}]\n")
    assert load_benchmark(path)[1][0].init == str(tmp_path / "mine" / "w.pth")


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_a_shipped_benchmark_begins_with_earlier_rows(path: Path) -> None:
    _, rows = load_benchmark(path)
    names = [row.name for row in rows]
    for i, row in enumerate(rows):
        assert row.init in names[:i] if row.init else row.quantization is None


@pytest.mark.parametrize("stem", ["cifar10", "cifar10_resnet20"])
def test_a_shipped_benchmark_has_both_methods_at_five_widths(stem: str) -> None:
    _, rows = load_benchmark(TRAIN_CONFIGS.parent / "benchmark" / f"{stem}.yaml")
    bounds = {(row.accumulator.method, row.accumulator.bit_width) for row in rows}
    assert bounds == {("none", None), *((m, p) for m in ("a2q", "a2q_plus") for p in range(12, 17))}
    # ‖w‖₁ ≤ 127.9 for 4-bit inputs at P = 12
    tightest = next(r for r in rows if (r.accumulator.method, r.accumulator.bit_width) == ("a2q", 12))
    assert l1_bound(tightest) == pytest.approx(127.94, abs=0.01)
