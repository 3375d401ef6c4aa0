"""The settings of FINN's build, dataflow_build_config.json, by their names in FINN 0.8 to 1.0 and finn-plus.

A file of them may stand for a configuration: what has a meaning here is taken, all else is named as without effect.
Importing this imports nothing of FINN.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from pipeline.errors import ConfigError
from pipeline.text_file import shown

__all__ = ["SETTINGS", "are_settings", "taken"]

SETTINGS: Mapping[str, str] = {
    "board": "board",
    "fpga_part": "fpga_part",
    "synth_clk_period_ns": "synth_clk_period_ns",
    "target_fps": "target_fps",
    "folding_config_file": "folding_config_file",
    "specialize_layers_config_file": "specialize_layers_config_file",
    "verify_input_npy": "golden_inputs",
    "model_path": "model",  # finn-plus
} | dict.fromkeys(
    (
        # every release
        *("output_dir", "generate_outputs", "steps", "start_step", "stop_step", "shell_flow_type", "hls_clk_period_ns"),
        *("folding_two_pass_relaxation", "mvau_wwidth_max", "standalone_thresholds", "minimize_bit_width"),
        *("verify_steps", "verify_expected_output_npy", "verify_save_full_context", "verify_save_rtlsim_waveforms"),
        *("auto_fifo_depths", "auto_fifo_strategy", "large_fifo_mem_style", "fifosim_save_waveform"),
        *("stitched_ip_gen_dcp", "signature", "max_multithreshold_bit_width", "save_intermediate_models"),
        *("vitis_platform", "vitis_floorplan_file", "vitis_opt_strategy"),
        *("enable_hw_debug", "enable_build_pdb_debug", "verbose"),
        # 0.8 to 0.10
        *("default_mem_mode", "force_rtl_conv_inp_gen", "force_python_rtlsim", "rtlsim_use_vivado_comps"),
        # 0.8 to 1.0
        *("split_large_fifos", "fifosim_input_throttle", "fifosim_n_inferences", "default_swg_exception"),
        *("rtlsim_batch_size", "input_range_info"),
        # 1.0 and finn-plus
        *("debug_fifo", "mlo", "loop_body_hierarchy", "loop_body_range", "verify_rtlsim_behavioral"),
        *("verification_atol", "verification_rtol", "enable_instrumentation", "layouts_config_file"),
        # finn-plus
        *("config_path", "fifo_config_file", "verify_nodewise_report", "verification_mean_atol"),
        *("verification_mean_rtol", "requant_bitwidth_threshold", "infer_shuffle_skip_first", "functional_simulation"),
        *("fifosim_comm_mode", "fifosim_mpi_launcher", "fifosim_mpi_oversubscribe", "fifosim_mpi_args"),
        *("fifosim_mpi_hosts", "fpga_memory", "vitis_iodma_intf_max_width", "enable_exception_snapshots"),
        *("instrumentation_no_dma", "instrumentation_avg_n", "console_log_level", "inject_steps_after"),
        *("inject_steps_before", "partitioning_configuration", "cpp_driver_version", "validation_dataset"),
        *("vivado_power_simulate_activity", "vivado_power_simulation_type", "experiments_config_path"),
        "multi_dnn_config_path",
    ),
    "",
)
"""FINN's settings, and the option of a configuration that means the same here, or nothing."""

# of which FINN's files have one, and ours none
_OWN = frozenset(name for name, option in SETTINGS.items() if name != option)


def are_settings(values: Mapping[str, Any]) -> bool:
    """Whether the `values` of a file are FINN's."""
    return any(name in values for name in _OWN)


def taken(values: Mapping[str, Any], called: str) -> tuple[dict[str, Any], str]:
    """The options in FINN's settings `values`, which errors call `called`; and a sentence on all else in it.

    A value of null is none. FINN reads its golden frames where `verify_steps` are asked for, and so does this. Raises
    ConfigError for a name that no release has.
    """
    for name in values:
        if name not in SETTINGS:
            close = difflib.get_close_matches(str(name)[:64], SETTINGS, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise ConfigError(
                f"{called}: {shown(name)} is no setting of FINN's builds, of which this is a file, as it has {_own(values)}.{hint} "
                "Take it out."
            )
    given = {name: value for name, value in values.items() if value is not None}
    if given.get("verify_steps"):
        given.setdefault("verify_input_npy", "input.npy")  # as in FINN
    dropped = {"fpga_part"} if "board" in given else set()  # FINN takes the part of its board, too
    dropped |= set() if given.get("verify_steps") else {"verify_input_npy"}
    names = {name: option for name, option in SETTINGS.items() if option and name in given.keys() - dropped}
    options = {option: given[name] for name, option in names.items()}
    takes = [name if name == option else f"{name} as {option}" for name, option in names.items()]
    without = [name for name in values if not SETTINGS[name] or name in dropped or values[name] is None]
    text = f"{called}: FINN's settings; taken are {', '.join(takes) or 'none'}"
    return options, f"{text}; without effect here: {', '.join(without)}"


def _own(values: Mapping[str, Any]) -> str:
    return next(name for name in _OWN if name in values)
