"""Records of builds that never ran, for tests of what a comparison writes."""

from __future__ import annotations

from pipeline.compare.record import Failure, LayerRecord, PointRecord
from pipeline.report.purposes import PURPOSES

__all__ = ["sample_failure", "sample_record", "sample_records"]

_POLICIES = (("fixed:32", False), ("datatype", False), ("target", False), ("exact", False), ("exact", True))
_TOP1 = {("a2q", 14): 80.66, ("a2q", 12): 75.6, ("a2q_plus", 14): 81.01, ("a2q_plus", 12): 79.43, ("", None): 80.98}
_ZEROS = {("a2q", 14): 0.482, ("a2q", 12): 0.875, ("a2q_plus", 14): 0.302, ("a2q_plus", 12): 0.692, ("", None): 0.165}


def sample_record(**changes) -> PointRecord:
    """A small trained network with two layers, some of its record replaced; purposes add up to its LUTs."""
    values = {
        "network": "quant_resnet8_w4a4",
        "method": "a2q",
        "p": 14,
        "policy": "exact",
        "per_pe": False,
        "board": "KV260",
        "part": "xck26",
        "target_fps": 10000.0,
        "seed": 0,
        "weights": "trained",
        "cycles": 18432,
        "fps": 10850.694444444445,
        "clock_mhz": 200.0,
        "ecp5_mhz": None,
        "vivado_mhz": None,
        "lut": 25_124,
        "ff": 17_732,
        "bram_36k": 17.5,
        "uram": 0,
        "dsp": 0,
        "capacity": {"lut": 117_120, "ff": 234_240, "bram_36k": 144, "uram": 64, "dsp": 1248},
        "lut_estimated": 25_181.4,
        "folding": "0123abcd",
        "seconds": 590.2,
        **changes,
    }
    method, p = values["method"], values["p"]
    bound = f"_{method}_{p}b" if method else ""
    trained = values["weights"] == "trained"
    per_pe = " per PE" if values["per_pe"] else ""
    share = values["lut"] // len(PURPOSES)
    rest = values["lut"] - share * (len(PURPOSES) - 1)
    model = values["network"] + bound
    defaults = {
        "model": model,
        "name": f"{model} · {values['policy']}{per_pe} · {values['board']} · {values['target_fps']} · {values['seed']}",
        "provenance": f"trained checkpoint {model}.pth" if trained else "synthetic weights, not trained",
        "top1": _TOP1.get((method, p), 70.0) if trained else None,
        "top1_how": "measured on the 10,000 images of the CIFAR-10 test set" if trained else "",
        "sparsity": _ZEROS.get((method, p), 0.5),
        "purposes": {purpose: rest if purpose == "glue" else share for purpose in PURPOSES},
        "layers": (
            LayerRecord("MVAU_0", "conv1.weight", "folded", 20, 17, 16, None, _used(values, 16), 5000),
            LayerRecord("MVAU_1", "layer1.0.conv1.weight", "folded", 15, 14, (p or 14) - 1, p, _used(values, 13), 7000),
        ),
    }
    return PointRecord(**{**defaults, **values}).sealed()


def sample_records() -> list[PointRecord]:
    """Five networks, each with five policies; `target` is left out for the one that has none."""
    records = []
    for method, p in _TOP1:
        for index, (policy, per_pe) in enumerate(_POLICIES):
            if p is not None or policy != "target":
                lut = 1500 * (p or 18) + 300 * (method == "a2q_plus") - 400 * index
                records.append(sample_record(method=method, p=p, policy=policy, per_pe=per_pe, lut=lut))
    return records


def sample_failure(**changes) -> Failure:
    """A build that ended in the middle."""
    values = {
        "name": "quant_resnet8_w4a4_a2q_12b · fixed:8",
        "model": "quant_resnet8_w4a4_a2q_12b",
        "policy": "fixed:8",
        "per_pe": False,
        "board": "KV260",
        "target_fps": 10000.0,
        "seed": 0,
        "stage": "accumulators",
        "message": "Layer MVAU_1: channel 3 needs 12 bits,\nbut the policy fixed:8 gives 8.",
    }
    return Failure(**{**values, **changes})


def _used(values: dict, proven: int) -> int:
    policy = values["policy"]
    return int(policy.split(":")[1]) if policy.startswith("fixed") else proven + 2 * (policy == "datatype")
