"""FINN's releases: the steps of their flows that are left for a model of hardware nodes, and their files of settings."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RELEASES", "Release"]

_FIRST = "step_create_dataflow_partition"


@dataclass(frozen=True)
class Release:
    """A release of FINN: the `steps` from the dataflow partition on, and whether FIFO depths are a file of their own."""

    name: str
    config: str  # the file that its flow is given
    steps: tuple[str, ...]
    has_fifo_file: bool


RELEASES = (
    Release(
        "finn-plus 1.6",
        "dataflow_build_config.json",
        (
            _FIRST,
            "step_specialize_layers",
            "step_apply_folding_config",
            "step_minimize_bit_width",
            "step_generate_estimate_reports",
            "step_assign_ddr_weight_offsets",
            "step_generate_hardware",
            "step_create_stitched_ip",
            "step_measure_rtlsim_performance",
            "step_out_of_context_synthesis",
            "step_prepare_synthesis",
            "step_synthesize_bitfile",
            "step_make_driver",
            "step_deployment_package",
        ),
        has_fifo_file=True,
    ),
    Release(
        "FINN 1.0",
        "dataflow_build_config_finn_1.0.json",
        (
            _FIRST,
            "step_specialize_layers",
            "step_apply_folding_config",
            "step_minimize_bit_width",
            "step_set_fifo_depths",
            "step_generate_estimate_reports",
            "step_hw_codegen",
            "step_hw_ipgen",
            "step_create_stitched_ip",
            "step_measure_rtlsim_performance",
            "step_synthesize_bitfile",
            "step_make_driver",
            "step_deployment_package",
        ),
        has_fifo_file=False,
    ),
)
