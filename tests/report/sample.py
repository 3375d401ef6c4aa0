"""A build that never ran: a small folded residual network with made-up measurements, for tests of the report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.ranges_seen import RangesSeen, SeenRange
from pipeline.devices.resources import Resources
from pipeline.folding.fold import fold
from pipeline.frontend.streamline.input_quantizer import InputQuantizer
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.models.network_record import LayerBound
from pipeline.models.resolve import ResolvedModel
from pipeline.report.facts import BuildFacts, NetworkSimulation, StageCost, VerifiedOutput
from pipeline.stages.accumulators import assign
from pipeline.static_timing.estimate import LongestPath, TimingEstimate
from pipeline.static_timing.paths import Hop
from pipeline.static_timing.paths import Path as TimingPath
from pipeline.synthesis.bitfile import BitfileResult
from pipeline.synthesis.synth import LayerResources, ResourceReport
from pipeline.verification.accuracy import Accuracy
from pipeline.verification.comparison import AccumulatorExtremes
from pipeline.verification.cppsim import CppLayerRun, CppNetworkRun, CppSimulation
from pipeline.verification.rtlsim import LayerRun
from tests.dataflow.residual import residual_network

__all__ = ["STAGES", "sample_facts"]

STAGES = (
    *(
        "resolve",
        "export",
        "streamline",
        "dataflow",
        "accumulators",
        "fold",
        "finn",
        "codegen",
        "accuracy",
        "cppsim",
        "rtlsim",
        "synth",
    ),
    *("verify", "timing", "bitfile", "package"),
)

_MODEL = ResolvedModel(
    name="residual",
    kind="brevitas",
    file="checkpoint.pth",
    sha256="0" * 64,
    weights="trained",
    provenance="trained checkpoint residual.pth, top-1 81.2 % on 10,000 images",
    input_shape=(4, 6, 6),
    preprocessing=None,
    dataset="CIFAR-10",
    bounds={"MVAU_0": LayerBound(method="a2q", accumulator_bits=14)},
    golden_source="the first 256 images of the test set",
)


def estimated_timing(graph: LayerGraph) -> TimingEstimate:
    """Every layer at 200 MHz by the pessimistic net delay, 250 by the optimistic, and one path of it."""
    paths = {
        layer.name: LongestPath(
            layer.op_type,
            {"optimistic": 4.0, "pessimistic": 5.0},
            4,
            1,
            165,
            f"{layer.name}: a_q",
            f"{layer.name}: b_q",
        )
        for layer in graph
    }
    start = Hop("MVAU_0", "FDRE", "", "rom", "u_layer.data_q[3]", 0, 0.0, 0.105)
    lut = Hop("MVAU_0", "LUT6", "I0", "mvau", "", 165, 0.94, 0.13)
    end = Hop("StreamingFIFO_1", "FDRE", "D", "streaming_fifo", "u_layer.stored_q[0]", 1, 0.6, 0.025)
    worst = (TimingPath(5.0, (start, lut, end)),)
    return TimingEstimate("estimated from netlists by hand", "UltraScale+, speed grade -2", 5.0, paths, worst)


def sample_facts(**changes) -> BuildFacts:
    """The facts of the sample, some of them replaced."""
    network = residual_network(blocks=2)
    sized, certificate = assign(network, "exact", target_bits={"MVAU_0": 14})
    folded = fold(sized, 700)
    layers, cpp, resources, peaks = {}, {}, {}, {}
    for index, layer in enumerate(folded.graph):
        extremes = None
        if isinstance(layer, MVAU):
            proven = certificate.layer(layer.name)
            ends = (proven.lowest.value, proven.highest.value)
            extremes = AccumulatorExtremes(ends, ends)
        if isinstance(layer, StreamingFIFO):
            peaks[layer.name] = layer.depth - 1
        layers[layer.name] = LayerRun(layer.name, 2, 0, layer.cycles(), layer.cycles(), extremes)
        if layer.has_hls:
            cpp[layer.name] = CppLayerRun(1, 0, 2, extremes)
        total = Resources(lut=100 + index, ff=10, bram_18k=index % 2)
        resources[layer.name] = LayerResources(layer.op_type, total, {layer.module: total})
    cycles = folded.prediction.cycles_between_frames
    facts = BuildFacts(
        model=_MODEL,
        input_quantizer=InputQuantizer("input", 1.0, False, 0.0, 255.0, 0, 0.125, 254, 256),
        seen=RangesSeen({"input": SeenRange("UINT8", 0, 255, 3, 255), "MVAU_0_out0": SeenRange("UINT4", 0, 15, 0, 15)}),
        accuracy=Accuracy({"top1": 0.806, "top5": 0.99}, 1000, "the first 1,000 images of the test set", 3.2),
        certificate=certificate,
        folded=folded,
        exported=None,
        cross_check=None,
        trace=None,
        layers=layers,
        network=NetworkSimulation(10, 12 * cycles, 300, 500, cycles, 200.0, 2, peaks, (500,)),
        cpp=CppSimulation("g++ 12.2.0", "hls4ml 1.3.0", 20.0, 10.0, CppNetworkRun(1, 2, (0, 1)), cpp),
        resources=ResourceReport(
            method="counted by hand",
            board="KV260",
            part="xck26",
            capacity=Resources(lut=117120, ff=234240, bram_18k=288, dsp=1248),
            layers=resources,
            total=sum((layer.total for layer in resources.values()), Resources()),
            whole=None,
        ),
        estimated=estimated_timing(folded.graph),
        gates=None,
        timing=None,
        bitfile=BitfileResult("KV260", "xck26", 5.0, 200.0, 100.0, {}, hwh=Path("x.hwh")),
        verified=(VerifiedOutput("verify_stitched_ip_rtlsim_0_SUCCESS.npy", 10),),
        stages=tuple(StageCost(name, f"{name} is fine", 1.5, 400.0 + i) for i, name in enumerate(STAGES)),
        target_fps=1000.0,
    )
    return replace(facts, **changes)
