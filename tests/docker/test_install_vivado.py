"""docker/install_vivado.sh: an installer that is there is run without a screen; whatever else is given is an error."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docker" / "install_vivado.sh"
# what xsetup does as far as the script goes by it: notes how it was called, and installs into the folder it was given
XSETUP = """#!/usr/bin/env bash
echo "$@" > "{calls}"
mkdir -p "${{!#}}/{place}/bin"
touch "${{!#}}/{place}/bin/vivado"
chmod +x "${{!#}}/{place}/bin/vivado"
"""


def _installer(folder: Path, place: str, program: str = "xsetup") -> Path:
    inner = folder / "FPGAs_AdaptiveSoCs_Unified"
    inner.mkdir()
    (inner / program).write_text(XSETUP.format(calls=folder / "calls", place=place))
    (inner / program).chmod(0o755)
    path = folder / "installer.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(inner, arcname=inner.name)
    return path


def _install(installer: Path, folder: Path, version: str = "2024.2") -> subprocess.CompletedProcess:
    command = [SCRIPT, installer, version, folder, "Vivado ML Standard"]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)


@pytest.mark.parametrize("place", ["Vivado/2024.2", "2024.2/Vivado"])
def test_installs_without_a_screen_into_the_folder(tmp_path, place):
    done = _install(_installer(tmp_path, place), tmp_path / "xilinx")
    assert done.returncode == 0, done.stderr
    call = (tmp_path / "calls").read_text().split()
    assert call[:2] == ["--batch", "Install"]
    assert call[-6:] == ["--edition", "Vivado", "ML", "Standard", "--location", str(tmp_path / "xilinx")]
    assert (tmp_path / "xilinx" / place / "bin" / "vivado").is_file()


@pytest.mark.parametrize(
    ("program", "version", "message"),
    [("setup.exe", "2024.2", "holds no xsetup"), ("xsetup", "2025.1", "is that the installer's version")],
)
def test_another_archive_or_version_is_an_error(tmp_path, program, version, message):
    done = _install(_installer(tmp_path, "Vivado/2024.2", program), tmp_path / "xilinx", version)
    assert done.returncode == 1 and message in done.stderr


def test_an_installer_that_is_not_there_is_an_error_that_says_what_to_download(tmp_path):
    done = _install(tmp_path / "none.tar", tmp_path / "xilinx")
    assert done.returncode == 1 and "single-file installer of Vivado 2024.2" in done.stderr
