"""Which headers and which compiler C++ is simulated with."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ToolError
from pipeline.tools import gxx


@pytest.fixture
def vitis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the headers of Vitis HLS, as XILINX_HLS names it."""
    folder = tmp_path / "2022.2"
    (folder / "include").mkdir(parents=True)
    (folder / "include" / "ap_int.h").touch()
    monkeypatch.setenv("XILINX_HLS", str(folder))
    return folder


def test_the_headers_of_vitis_hls_come_before_those_of_hls4ml(vitis, monkeypatch):
    assert (gxx.headers(), gxx.headers_version()) == (vitis / "include", "Vitis HLS 2022.2")
    monkeypatch.delenv("XILINX_HLS")
    monkeypatch.setenv("PATH", "")
    assert (gxx.headers() / "ap_int.h").is_file() and gxx.headers_version().startswith("hls4ml ")


def test_a_folder_of_vitis_hls_without_headers_is_an_error(vitis):
    (vitis / "include" / "ap_int.h").unlink()
    with pytest.raises(ToolError, match="ap_int.h is missing in .*2022.2/include"):
        gxx.headers()


def test_a_compiler_that_does_not_run_is_an_error(tmp_path, monkeypatch):
    program = tmp_path / "g++"
    program.write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(ToolError, match="--version ended with status 3 and names no version; it prints: 'broken'"):
        gxx.version()


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("g++ (Debian 12.2.0-14+deb12u1) 12.2.0", "12.2.0"),
        ("g++-9 (Ubuntu 9.4.0-1ubuntu1~20.04) 9.4.0", "9.4.0"),
        ("g++ (GCC) 4.8.5 20150623 (Red Hat 4.8.5-44)", "4.8.5"),
        ("12.2", "12.2"),
        ("a compiler of ours", "a compiler of ours"),
    ],
)
def test_its_version_is_not_that_of_who_packaged_it(tmp_path, monkeypatch, line, version):
    program = tmp_path / "g++"
    program.write_text(f"#!/bin/sh\necho '{line}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert gxx.version() == version
