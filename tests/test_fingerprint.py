from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import fingerprint
from pipeline.stages import STAGES
from pipeline.tools.programs import PROGRAMS


def test_combine_tells_names_from_values() -> None:
    assert fingerprint.combine({"a": "b"}) != fingerprint.combine({"b": "a"})
    assert fingerprint.combine({"a": "1\nb 1 2"}) != fingerprint.combine({"a": "1", "b": "2"})
    assert fingerprint.combine({"a": 1, "b": 2}) == fingerprint.combine({"b": 2, "a": 1})


def test_a_folder_is_its_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file").write_text("1")
    (tmp_path / "log.txt").write_text("now")
    first = fingerprint.folder(tmp_path, without={"log.txt"})
    (tmp_path / "log.txt").write_text("later")
    assert fingerprint.folder(tmp_path, without={"log.txt"}) == first
    (tmp_path / "sub" / "file").write_text("2")
    assert fingerprint.folder(tmp_path, without={"log.txt"}) != first


def test_a_file_that_appears_is_a_change(tmp_path: Path) -> None:
    assert fingerprint.file(tmp_path / "f") == "absent"
    (tmp_path / "f").write_text("")
    assert fingerprint.file(tmp_path / "f") != "absent"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of its own in the place of this one, in which `pipeline.work.run` reaches `deep` by way of `near`."""
    folder = tmp_path / "pipeline"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "near.py").write_text("def work():\n    import pipeline.deep\n")
    (folder / "deep.py").write_text("VALUE = 1\n")
    (folder / "apart.py").write_text("VALUE = 1\n")
    (folder / "work.py").write_text(
        "LIMIT = 3\n\ndef run(context):\n    from pipeline import near\n    return helper(near)\n\n"
        "def helper(near):\n    return LIMIT\n\ndef other(context):\n    from pipeline import apart\n    return 1\n"
    )
    packages = {"pipeline": folder, "a2q_driver": tmp_path / "hw" / "driver" / "a2q_driver"}
    monkeypatch.setattr(fingerprint, "PACKAGES", packages)
    yield folder
    forget()


def forget() -> None:
    for cached in (fingerprint._parsed, fingerprint._module_imports, fingerprint._module_files):
        cached.cache_clear()


def code_of(package: Path, name: str) -> str:
    """The digest of a function of work.py as a new process would see it."""
    forget()
    path = package / "work.py"
    spec = importlib.util.spec_from_file_location("pipeline.work", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return fingerprint.code(getattr(module, name))


def test_code_is_what_the_function_reaches(package: Path) -> None:
    before = code_of(package, "run"), code_of(package, "other")
    (package / "deep.py").write_text("VALUE = 2\n")
    after = code_of(package, "run"), code_of(package, "other")
    assert after[0] != before[0], "a module that is imported by way of another counts"
    assert after[1] == before[1], "a module that is not imported does not"


def test_code_is_what_the_function_uses_of_its_module(package: Path) -> None:
    before = code_of(package, "run"), code_of(package, "other")
    path = package / "work.py"
    path.write_text(path.read_text().replace("LIMIT = 3", "LIMIT = 4"))
    after = code_of(package, "run"), code_of(package, "other")
    assert after[0] != before[0] and after[1] == before[1]


def test_what_only_type_checkers_import_is_not_code(package: Path) -> None:
    text = (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pipeline.{}\nelse:\n    import pipeline.{}\n"
    )
    (package / "deep.py").write_text(text.format("apart", "late"))
    (package / "late.py").write_text("VALUE = 1\n")
    before = code_of(package, "run")
    (package / "apart.py").write_text("VALUE = 2\n")
    assert code_of(package, "run") == before
    (package / "late.py").write_text("VALUE = 2\n")
    assert code_of(package, "run") != before


@pytest.mark.parametrize(
    "statement",
    ["from a2q_driver import packing", "import a2q_driver.packing", "from a2q_driver.packing import pack"],
)
def test_code_is_what_the_function_reaches_of_the_driver(package: Path, statement: str) -> None:
    driver = package.parent / "hw" / "driver" / "a2q_driver"
    driver.mkdir(parents=True)
    (driver / "__init__.py").write_text("")
    (driver / "packing.py").write_text("from .errors import DriverError\n\npack = DriverError\n")
    (driver / "errors.py").write_text("DriverError = Exception\n")
    (driver / "accelerator.py").write_text("VALUE = 1\n")
    (package / "near.py").write_text(f"def work():\n    {statement}\n")
    before = code_of(package, "run"), code_of(package, "other")
    (driver / "accelerator.py").write_text("VALUE = 2\n")
    assert code_of(package, "run") == before[0], "a module of the driver that is not imported does not count"
    (driver / "errors.py").write_text("DriverError = ValueError\n")
    after = code_of(package, "run"), code_of(package, "other")
    assert after[0] != before[0], "a module of the driver that is imported by way of another counts"
    assert after[1] == before[1]


def test_a_package_that_imports_all_its_modules_is_all_of_them(package: Path) -> None:
    plugins = package / "plugins"
    plugins.mkdir()
    (plugins / "__init__.py").write_text(
        "from pkgutil import iter_modules\nfor module in iter_modules(__path__):\n    __import__(module.name)\n"
    )
    (plugins / "one.py").write_text("VALUE = 1\n")
    (package / "near.py").write_text(
        "from importlib import import_module\n\ndef work():\n    import_module('pipeline.plugins')\n"
    )
    before = code_of(package, "run"), code_of(package, "other")
    (plugins / "one.py").write_text("VALUE = 2\n")
    changed = code_of(package, "run")
    assert changed != before[0]
    (plugins / "two.py").write_text("VALUE = 1\n")
    assert code_of(package, "run") != changed, "also a module that is new"
    assert code_of(package, "other") == before[1]


def test_versions() -> None:
    assert fingerprint.package_version("numpy")[0].isdigit()
    assert fingerprint.package_version("no-such-package") == "absent"


def test_what_type_checkers_alone_read_is_no_code(package: Path) -> None:
    checked = "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from pipeline import apart\nelse:\n    import pipeline.deep\n"
    (package / "near.py").write_text(checked)
    before = code_of(package, "run")
    (package / "apart.py").write_text("VALUE = 2\n")
    assert code_of(package, "run") == before
    (package / "deep.py").write_text("VALUE = 2\n")
    assert code_of(package, "run") != before


def test_a_variable_is_its_value_and_what_it_leads_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("A2Q_TEST", raising=False)
    seen = [fingerprint.variable("A2Q_TEST")]
    for value in ("", "unset ", str(tmp_path / "link")):
        monkeypatch.setenv("A2Q_TEST", value)
        seen.append(fingerprint.variable("A2Q_TEST"))
    for version in ("2022.2", "2023.1"):
        (tmp_path / version).mkdir()
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(version)
        seen.append(fingerprint.variable("A2Q_TEST"))
    assert len(set(seen)) == 6


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_stages_of_a_build_are_declared_right(stage) -> None:
    for package in stage.packages:
        assert fingerprint.package_version(package) != "absent", package
    assert set(stage.programs) <= set(PROGRAMS)
    repository = Path(fingerprint.__file__).parents[1]
    for pattern in stage.sources:
        assert pattern.startswith("pipeline/models/checkpoints") or list(repository.glob(pattern)), pattern
    earlier = [other.name for other in STAGES[: STAGES.index(stage)]]
    assert set(stage.needs) <= set(earlier)
