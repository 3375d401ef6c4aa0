from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.config import BuildConfig
from pipeline.errors import ConfigError, InternalError, ResourceError, ToolError, VerificationError
from pipeline.flow import BUILD_RECORD, BuildResult, Context, Stage, build
from pipeline.progress import Screen

CONFIG = BuildConfig()


def first(context: Context) -> str:
    context.log(f"seed is {context.options['seed']}")
    print("printed by a tool")
    (context.folder / "value").write_text(str(context.options["seed"] // 2))
    (context.folder / "report").mkdir()
    (context.folder / "report" / "first.json").write_text("{}")
    (context.folder / "private").write_text("not published")
    return f"seed {context.options['seed']}"


def second(context: Context) -> str:
    value = (context.inputs["first"] / "value").read_text()
    (context.folder / "summary.md").write_text(f"value {value}\n")
    return f"value {value}"


FIRST = Stage("first", "writes a value", first, reads=("seed",))
SECOND = Stage("second", "reads it", second, needs=("first",))
STAGES = (FIRST, SECOND)


def run(
    out: Path, stages=STAGES, config: BuildConfig = CONFIG, *, text: StringIO | None = None, **options
) -> BuildResult:
    verbose = options.pop("verbose", False)
    screen = Screen(Console(file=text or StringIO(), width=200), verbose=verbose)
    return build(config, out, stages, screen, **options)


def cached(result: BuildResult) -> list[bool]:
    return [stage.cached for stage in result.stages]


def test_a_second_build_runs_nothing(tmp_path: Path) -> None:
    assert cached(run(tmp_path / "out")) == [False, False]
    text = StringIO()
    again = run(tmp_path / "out", text=text)
    assert cached(again) == [True, True]
    assert "cached  seed 0" in text.getvalue() and "cached  value 0" in text.getvalue()


def test_only_what_depends_on_a_change_runs(tmp_path: Path) -> None:
    run(tmp_path / "out")
    assert cached(run(tmp_path / "out", config=BuildConfig(target_fps=5))) == [True, True], "a field that none reads"
    assert cached(run(tmp_path / "out", config=BuildConfig(seed=2))) == [False, False]
    assert cached(run(tmp_path / "out", config=BuildConfig(seed=3))) == [False, True], "the same content comes out"
    assert cached(run(tmp_path / "out")) == [True, True], "an earlier result is still there"


def test_a_changed_input_file_runs_the_stage(tmp_path: Path) -> None:
    data = tmp_path / "data"
    stages = (replace(FIRST, files=lambda options: [data]),)
    run(tmp_path / "out", stages)
    assert cached(run(tmp_path / "out", stages)) == [True]
    data.write_text("1")
    assert cached(run(tmp_path / "out", stages)) == [False]


def test_a_stage_sees_only_what_it_declares(tmp_path: Path) -> None:
    undeclared = Stage("first", "", lambda context: context.options["seed"])
    with pytest.raises(InternalError, match="KeyError.*seed"):
        run(tmp_path / "out", (undeclared,))


def test_what_is_published(tmp_path: Path) -> None:
    run(tmp_path / "out")
    found = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert found == {
        ".published.json",
        "logs/first.txt",
        "logs/second.txt",
        "report/build.json",
        "report/first.json",
        "summary.md",
    }
    record = json.loads((tmp_path / "out" / BUILD_RECORD).read_text())
    assert [stage["name"] for stage in record["stages"]] == ["first", "second"]
    assert record["stages"][0]["peak_mib"] > 1 and record["config"]["seed"] == 0


def test_what_is_no_longer_published_goes(tmp_path: Path) -> None:
    def changing(context: Context) -> str:
        (context.folder / f"{context.options['seed']}.png").write_text("")
        return ""

    stages = (Stage("plots", "", changing, reads=("seed",)),)
    run(tmp_path / "out", stages)
    run(tmp_path / "out", stages, BuildConfig(seed=1))
    assert [path.name for path in (tmp_path / "out").glob("*.png")] == ["1.png"]


def test_what_belongs_to_another_result_goes(tmp_path: Path) -> None:
    def first(context: Context) -> str:
        (context.folder / "first.png").write_text(str(context.options["seed"]))
        (context.folder / "value").write_text(str(context.options["seed"]))
        return ""

    def second(context: Context) -> str:
        (context.folder / "second.png").write_text((context.inputs["first"] / "value").read_text())
        return ""

    stages = (Stage("first", "", first, reads=("seed",)), Stage("second", "", second, needs=("first",)))
    out = tmp_path / "out"
    run(out, stages)
    run(out, stages, BuildConfig(seed=1), until="first")
    assert (out / "first.png").read_text() == "1" and not (out / "second.png").exists()
    run(out, stages, BuildConfig(seed=1))
    assert (out / "second.png").read_text() == "1"


def test_a_result_that_was_tampered_with_is_made_again(tmp_path: Path) -> None:
    run(tmp_path / "out")
    published = tmp_path / "out" / "summary.md"  # the very file of the kept result
    published.chmod(0o644)
    published.write_text("spoilt\n")
    again = run(tmp_path / "out")
    assert cached(again) == [True, False]
    assert published.read_text() == "value 0\n"


def test_a_stage_that_finds_a_difference_leaves_what_differs_until_it_is_mended(tmp_path: Path) -> None:
    def differs(context: Context) -> str:
        folder = context.folder / "verification_output"
        folder.mkdir()
        (folder / "verify_second_0_FAIL.npy").write_text("what it gave")
        raise VerificationError("two things differ")

    with pytest.raises(VerificationError, match="two things differ"):
        run(tmp_path / "out", (FIRST, Stage("second", "", differs, needs=("first",))))
    given = tmp_path / "out" / "verification_output" / "verify_second_0_FAIL.npy"
    assert given.read_text() == "what it gave"
    run(tmp_path / "out")
    assert not given.exists()


def test_a_failed_stage_leaves_its_log_and_what_came_before(tmp_path: Path) -> None:
    def fails(context: Context) -> str:
        (context.folder / "half").write_text("half")
        context.log("about to fail")
        raise ToolError("the tool said no")

    with pytest.raises(ToolError, match="said no"):
        run(tmp_path / "out", (FIRST, Stage("second", "", fails, needs=("first",))))
    assert (tmp_path / "out" / "report" / "first.json").is_file()
    log = (tmp_path / "out" / "logs" / "second.txt").read_text()
    assert log == "about to fail\nToolError: the tool said no\n"
    assert not list((tmp_path / ".cache" / "second").glob("[!.]*[!.lock]")), "no half result"
    record = json.loads((tmp_path / "out" / BUILD_RECORD).read_text())
    assert [stage["name"] for stage in record["stages"]] == ["first"]
    assert cached(run(tmp_path / "out")) == [True, False]


def test_what_a_stage_prints_goes_to_its_log(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    text = StringIO()
    run(tmp_path / "out", text=text)
    assert (tmp_path / "out" / "logs" / "first.txt").read_text() == "seed is 0\nprinted by a tool\n"
    assert "printed by a tool" not in text.getvalue() + capfd.readouterr().out
    text = StringIO()
    run(tmp_path / "other" / "out", text=text, verbose=True)
    assert "  printed by a tool" in text.getvalue()


def test_until(tmp_path: Path) -> None:
    assert [stage.name for stage in run(tmp_path / "out", until="first").stages] == ["first"]
    with pytest.raises(ConfigError, match="no stage called 'third'. The stages are: first, second"):
        run(tmp_path / "out", until="third")


@pytest.mark.parametrize("wrapped", [False, True])
def test_full_disk(tmp_path: Path, wrapped: bool) -> None:
    def fills(context: Context) -> str:
        (context.folder / "half").write_text("half")
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "half")
        except OSError as error:
            if wrapped:
                raise ToolError("could not write half") from error
            raise

    with pytest.raises(ResourceError) as caught:
        run(tmp_path / "out", (FIRST, Stage("second", "", fills, needs=("first",))))
    message = str(caught.value)
    assert f"The disk that holds {tmp_path} is full" in message
    assert "the stage second" in message and str(tmp_path / ".cache") in message and "--out" in message
    assert not list((tmp_path / ".cache" / "second").glob("*.partial"))
    assert cached(run(tmp_path / "out")) == [True, False], "the stages before are kept"


def test_two_builds_at_once_make_a_result_once(tmp_path: Path) -> None:
    made = []
    started = threading.Event()

    def slow(context: Context) -> str:
        made.append(context.folder)
        started.set()
        time.sleep(0.5)
        (context.folder / "value").write_text("1")
        return "made"

    stages = (Stage("slow", "", slow),)
    text = StringIO()
    one = threading.Thread(target=run, args=(tmp_path / "one", stages))
    one.start()
    started.wait(10)
    result = run(tmp_path / "two", stages, text=text)
    one.join()
    assert len(made) == 1 and cached(result) == [True]
    assert "another build is making this result" in text.getvalue()


KILLED = """
import signal, sys, time
from pathlib import Path
from rich.console import Console
from pipeline.config import BuildConfig
from pipeline.flow import Stage, build
from pipeline.progress import Screen

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and what it starts too

def fast(context):
    (context.folder / "value").write_text("1")
    return "fast"

def slow(context):
    (context.folder / "half").write_text("half")
    Path(sys.argv[2]).touch()
    if sys.argv[3] == "wait":
        time.sleep(60)
    (context.folder / "summary.md").write_text("whole")
    return "slow"

stages = (Stage("fast", "", fast), Stage("slow", "", slow, needs=("fast",)))
try:
    result = build(BuildConfig(), Path(sys.argv[1]), stages, Screen(Console(stderr=True)))
except KeyboardInterrupt:
    sys.exit(130)
print([stage.cached for stage in result.stages])
"""


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_build_goes_on_where_it_was(tmp_path: Path, sent: signal.Signals) -> None:
    script, mark, out = tmp_path / "script.py", tmp_path / "mark", tmp_path / "out"
    script.write_text(KILLED)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, str(script), str(out), str(mark)]
    process = subprocess.Popen([*command, "wait"], env=environment, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not mark.exists():
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.02)
        process.send_signal(sent)
        assert process.wait(30) == (130 if sent == signal.SIGINT else -signal.SIGKILL)
    finally:
        process.kill()
    assert bool(list((tmp_path / ".cache" / "slow").glob("*.partial"))) == (sent == signal.SIGKILL)
    assert not (out / "summary.md").exists()
    done = subprocess.run([*command, "go"], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[True, False]\n"
    assert (out / "summary.md").read_text() == "whole"
    assert not list((tmp_path / ".cache" / "slow").glob("*.partial"))
