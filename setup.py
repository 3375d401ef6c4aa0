"""What pyproject.toml cannot say: a wheel carries hw/, build_configs/ and the licence in the folder pipeline/shipped."""

from __future__ import annotations

import tempfile
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
SHIPPED = ("hw", "build_configs", "LICENSE", "NOTICE")


class BuildWithFiles(build_py):
    """As setuptools builds, and with the files that `pipeline.files` looks for. An editable install takes the checkout's."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for target, source in self._shipped().items():
                self.mkpath(str(Path(target).parent))
                self.copy_file(source, target, preserve_mode=False)

    def get_source_files(self) -> list[str]:
        return [*super().get_source_files(), *self._shipped().values()]  # for a source distribution

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [*super().get_outputs(include_bytecode), *self._shipped()]

    def _shipped(self) -> dict[str, str]:
        """The files to carry, relative to this folder, by the paths that they are copied to."""
        named = [ROOT / name for name in SHIPPED]
        paths = [path for name in named for path in (name, *name.rglob("*")) if path.is_file()]
        sources = sorted(path.relative_to(ROOT) for path in paths if "__pycache__" not in path.parts)
        folder = Path(self.build_lib, "pipeline", "shipped")
        return {str(folder / source): str(source) for source in sources}


# elsewhere than in build/, which holds the results of this project's builds, and where files of earlier wheels would stay
with tempfile.TemporaryDirectory() as scratch:
    setup(cmdclass={"build_py": BuildWithFiles}, options={"build": {"build_base": scratch}})
