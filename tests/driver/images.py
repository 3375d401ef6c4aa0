"""What boards' images hold: pynq, and the Python that it comes with; and a board with one of them, simulated."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.deployment import board_python
from pipeline.errors import ResourceError
from pipeline.package import verify
from pipeline.tools.board_model import build_library
from pipeline.user_cache import cache_folder

__all__ = ["IMAGES", "Image", "OnBoard", "board_with", "has_environment"]

_REPOSITORY = Path(__file__).resolve().parents[2]
_HERE = Path(__file__).resolve().parent
_MACHINES = {"xcup": "aarch64", "xc7": "armv7l"}


@dataclass(frozen=True)
class Image:
    """The `pynq` of an image, and its `python`, which the environment here has where this machine has it."""

    pynq: str
    python: str

    @property
    def interpreter(self) -> Path:
        """The Python of the environment; that of the newest pynq is what drives boards from here."""
        return board_python() if self == IMAGES[-1] else _REPOSITORY / self.folder / "bin" / "python"

    @property
    def folder(self) -> str:
        """The environment's, in the repository."""
        return ".venv-board" if self == IMAGES[-1] else f".venv-pynq-{self.pynq}"


IMAGES = (Image("2.7.0", "3.8"), Image("3.0.1", "3.10"), Image("3.1.2", "3.10"), Image("4.0.0", "3.11"))


def has_environment(image: Image) -> bool:
    """Whether the environment is there. A warning tells of one with another Python than the image's."""
    try:
        interpreter = image.interpreter
    except ResourceError:
        return False
    if not interpreter.is_file():
        return False
    settings = (interpreter.parents[1] / "pyvenv.cfg").read_text()
    version = re.search(r"^version(?:_info)? = (\d+\.\d+)", settings, re.MULTILINE)[1]
    if version != image.python:
        warnings.warn(
            f"pynq {image.pynq} is tested with Python {version}: this machine has no {image.python}, which its images have",
            stacklevel=2,
        )
    return True


@dataclass(frozen=True)
class OnBoard:
    """The board that holds `package`, with `image`: its process listens at `port`."""

    image: Image
    package: Path
    port: int

    def run(self, script: Path | str, *arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a Python program of the package's driver, or another one, as on the board."""
        done = subprocess.run(
            self._command(script, *arguments),
            cwd=cwd or self.package / "driver",
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def scenario(self, name: str, *arguments: object) -> dict[str, Any]:
        """What a scenario of on_the_board.py finds."""
        done = self.run(_HERE / "on_the_board.py", name, self.package, "local", *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def _command(self, script: Path | str, *arguments: object) -> list[str]:
        machine = _MACHINES[json.loads((self.package / "manifest.json").read_text())["family"]]
        python = [self.image.interpreter, "-B", "-W", "ignore", _HERE / "embedded.py"]
        return [*map(str, python), str(self.port), machine, str(script), *map(str, arguments)]

    @contextmanager
    def services(self) -> Iterator[None]:
        """What runs on the board all the time: up to pynq 2.7 a server that knows what is loaded."""
        if self.image.pynq != "2.7.0":
            yield
            return
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(self._command(_HERE / "pl_server.py"), **pipes) as server:
            try:
                assert server.stdout.readline() == "started\n"
                yield
            finally:
                server.kill()


@contextmanager
def board_with(image: Image, package: Path) -> Iterator[OnBoard]:
    """The simulated board that holds `package`, for programs that run on it with `image`."""
    rtl = verify(package)["rtl"]
    sources = [package / source for source in rtl["sources"]]
    library = build_library(package / "rtl", rtl["top"], sources, cache_folder() / "board-models")
    command = [board_python(), "-B", "-W", "ignore", "-m", "tests.driver.board_process", package, library]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": sys.stderr.fileno(), "text": True}
    with subprocess.Popen(list(map(str, command)), cwd=_REPOSITORY, **pipes) as process:
        try:
            board = OnBoard(image, package, int(process.stdout.readline()))
            with board.services():
                yield board
        finally:
            process.stdin.close()
            process.kill()
