from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import psutil
import pytest
from rich.console import Console

from pipeline.config import BuildConfig
from pipeline.errors import (
    ConfigError,
    InternalError,
    Obstacle,
    ResourceError,
    TimingError,
    ToolError,
    UnsupportedError,
    VerificationError,
)
from pipeline.flow import BUILD_RECORD, UNSUPPORTED, BuildResult, build
from pipeline.progress import Screen
from pipeline.stage import Context, Stage
from pipeline.tools import process

CONFIG = BuildConfig()


def first(context: Context) -> str:
    context.log(f"seed is {context.options.seed}")
    print("printed by a tool")
    (context.folder / "value").write_text(str(context.options.seed // 2))
    (context.folder / "report").mkdir()
    (context.folder / "report" / "first.json").write_text("{}")
    (context.folder / "private").write_text("not published")
    return f"seed {context.options.seed}"


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
    undeclared = Stage("first", "", lambda context: context.options.seed)
    with pytest.raises(InternalError, match=r"AttributeError \(the option seed is read, but `reads`"):
        run(tmp_path / "out", (undeclared,))


def test_what_is_published(tmp_path: Path) -> None:
    run(tmp_path / "out")
    files = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert files == {
        ".lock",
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
        (context.folder / f"{context.options.seed}.png").write_text("")
        return ""

    stages = (Stage("plots", "", changing, reads=("seed",)),)
    run(tmp_path / "out", stages)
    run(tmp_path / "out", stages, BuildConfig(seed=1))
    assert [path.name for path in (tmp_path / "out").glob("*.png")] == ["1.png"]


def test_what_belongs_to_another_result_goes(tmp_path: Path) -> None:
    def first(context: Context) -> str:
        (context.folder / "first.png").write_text(str(context.options.seed))
        (context.folder / "value").write_text(str(context.options.seed))
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


def test_a_bitstream_that_is_too_slow_is_added_to_the_build_until_there_is_a_better_one(tmp_path: Path) -> None:
    def make(context: Context) -> str:
        folder = context.folder / "bitfile"
        target = folder / "too_slow" if context.options.seed == 1 else folder
        target.mkdir(parents=True)
        (target / "a.bit").write_text(str(context.options.seed))
        if target != folder:
            raise TimingError("too slow by 0.1 ns", target)
        return ""

    def pack(context: Context) -> str:
        (context.folder / "deploy").mkdir()
        shutil.copy(context.inputs["bitfile"] / "bitfile" / "a.bit", context.folder / "deploy")
        return ""

    stages = (Stage("bitfile", "", make, reads=("seed",)), Stage("package", "", pack, needs=("bitfile",)))
    out = tmp_path / "out"
    good, slow, deployed = out / "bitfile" / "a.bit", out / "bitfile" / "too_slow" / "a.bit", out / "deploy" / "a.bit"

    def fail() -> None:
        with pytest.raises(TimingError) as raised:
            run(out, stages, BuildConfig(seed=1))
        assert slow.read_text() == "1"
        message = (
            f"too slow by 0.1 ns\nThe bitstream, not to be trusted at this clock, and its reports are in {slow.parent}."
        )
        assert str(raised.value) == message
        assert message in (out / "logs" / "bitfile.txt").read_text()

    fail()
    assert not good.exists()
    run(out, stages)
    assert good.read_text() == "0" and not slow.parent.exists()
    fail()
    fail()
    assert (good.read_text(), deployed.read_text()) == ("0", "0"), "what was made before"
    run(out, stages, until="bitfile")
    assert deployed.read_text() == "0", "it is of the same bitstream"
    assert cached(run(out, stages)) == [True, True]
    assert (good.read_text(), deployed.read_text()) == ("0", "0") and not slow.parent.exists()
    fail()
    run(out, stages, BuildConfig(seed=2))
    assert (good.read_text(), deployed.read_text()) == ("2", "2") and not slow.parent.exists()


def test_what_cannot_be_built_is_listed_until_it_can_be(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(out)
    fails = True

    def refuse(context: Context) -> str:
        if fails:
            obstacles = [
                Obstacle("a", "Sin", "Sin node a is not supported: it falls. Leave it out."),
                Obstacle("", "", "x"),
            ]
            raise UnsupportedError("The network cannot be built.", obstacles)
        return first(context)

    for fails in (True, False):
        if fails:
            with pytest.raises(
                UnsupportedError, match="cannot be built.\nAll of it is in .*out/report/unsupported.json"
            ):
                run(out, (replace(FIRST, run=refuse),), BuildConfig(seed=4))
            assert json.loads((out / UNSUPPORTED).read_text())["obstacles"] == [
                {"node": "a", "operator": "Sin", "reason": "is not supported: it falls", "remedy": "Leave it out."},
                {"node": "", "operator": "", "reason": "x", "remedy": ""},
            ]
            assert (out / "summary.md").is_file(), "what was built before stays"
        else:
            run(out, (replace(FIRST, run=refuse),), BuildConfig(seed=4))
            assert not (out / UNSUPPORTED).exists()


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
    assert not list((tmp_path / ".a2q-cache" / "second").glob("[!.]*[!.lock]")), "no half result"
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
    assert "the stage second" in message and str(tmp_path / ".a2q-cache") in message and "--out" in message
    assert not list((tmp_path / ".a2q-cache" / "second").glob("*.partial"))
    assert cached(run(tmp_path / "out")) == [True, False], "the stages before are kept"


@pytest.fixture
def file_size_limit() -> Iterator[int]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    yield 50_000
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def writes_text(path: Path) -> None:
    path.write_text("0" * 200_000)


def writes_numbers(path: Path) -> None:
    np.arange(200_000).tofile(path)  # numpy does not say why it could not


def has_written(path: Path) -> None:
    process.run(["head", "-c", "200000", "/dev/zero"], output=path)


@pytest.mark.parametrize("write", [writes_text, writes_numbers, has_written])
def test_a_file_beyond_the_limit_is_told_as_such(tmp_path: Path, file_size_limit: int, write) -> None:
    def second(context: Context) -> str:
        write(context.folder / "summary.md")
        return ""

    with pytest.raises(ResourceError, match=r"50,000 bytes.*`ulimit -f`.*Raise the limit.*run the same command again"):
        run(tmp_path / "out", (FIRST, Stage("second", "", second, needs=("first",))))
    assert cached(run(tmp_path / "out")) == [True, False], "the stages before are kept"


def test_a_file_that_the_file_system_does_not_take(tmp_path: Path) -> None:
    def second(context: Context) -> str:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(context.folder / "weights"))

    with pytest.raises(ResourceError, match=r"could not write the file weights: its file system takes none as large\."):
        run(tmp_path / "out", (FIRST, Stage("second", "", second, needs=("first",))))


def test_a_log_beyond_the_limit_is_told_as_such(tmp_path: Path, file_size_limit: int) -> None:
    def talks(context: Context) -> str:
        for _ in range(2000):
            context.log("a line of some fifty characters, more or less, if any")
        return ""

    with pytest.raises(ResourceError, match=r"The stage second could not write .*50,000 bytes"):
        run(tmp_path / "out", (FIRST, Stage("second", "", talks, needs=("first",))))
    assert cached(run(tmp_path / "out")) == [True, False]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("the user's")
    for out in (tmp_path / "file", tmp_path / "file" / "out", Path("/proc/out")):
        with pytest.raises(ResourceError, match=rf"cannot be written: .* writes to {out}, .*with --out. Nothing"):
            run(out)
    assert (tmp_path / "file").read_text() == "the user's"


def test_a_cache_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / ".a2q-cache").write_text("the user's")
    with pytest.raises(ResourceError, match=r"\.a2q-cache cannot be written: File exists\. .* keeps its results in "):
        run(tmp_path / "out")


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="no folder here in which even root may not write")
@pytest.mark.parametrize("name", ["out", ".a2q-cache"])
def test_a_folder_that_is_read_only(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to("/sys/kernel")
    with pytest.raises(
        ResourceError,
        match=rf"/(?:{name}|sys/kernel)/.* cannot be written: (?:Operation not permitted|Read-only|Perm)",
    ):
        run(tmp_path / "out")


def test_a_folder_that_can_no_longer_be_written(tmp_path: Path) -> None:
    """What stands in the way here is a folder where a file belongs, and a file where a folder does."""
    out = tmp_path / "out"
    run(out, until="first")
    (out / "summary.md").mkdir()
    with pytest.raises(ResourceError, match=r"summary\.md cannot be written: Is a directory"):
        run(out)
    (out / "summary.md").rmdir()
    assert cached(run(out)) == [True, True], "nothing was lost"
    shutil.rmtree(out / "report")
    (out / "report").write_text("")
    with pytest.raises(ResourceError, match=r"report.* cannot be written: "):
        run(out)
    assert not list(out.glob(".*.[0-9]*")), "nor is anything left over"


def test_an_error_that_is_not_of_the_build_s_folders_stays_what_it_is(tmp_path: Path) -> None:
    def reads(context: Context) -> str:
        return (tmp_path / "of the user").read_text()

    with pytest.raises(FileNotFoundError):
        run(tmp_path / "out", (Stage("reads", "", reads),))


MANIFESTS = {
    "list": "[]",
    "number": "7",
    "nothing": "",
    "half": '{"first": {"key": ',
    "bytes": "\udcff",
    "entry": '{"first": 7}',
    "no files": '{"first": {"key": ""}}',
    "numbers": '{"first": {"key": "", "files": [1]}}',
    "key": '{"first": {"key": 1, "files": []}}',
    "deep": "[" * 100_000,
    "elsewhere": '{"first": {"key": "", "files": ["report/../../keep"]}}',
    "absolute": '{"first": {"key": "", "files": ["/report/keep"]}}',
    "unpublished": '{"first": {"key": "", "files": ["notes.txt"]}}',
    "NUL": '{"first": {"key": "", "files": ["report/\\u0000"]}}',
    "itself": '{"first": {"key": "", "files": ["."]}}',
}


@pytest.mark.parametrize("text", MANIFESTS.values(), ids=MANIFESTS)
def test_another_list_of_published_files_is_refused_and_left_alone(tmp_path: Path, text: str) -> None:
    out = tmp_path / "out"
    run(out)
    (tmp_path / "keep").write_text("")
    manifest = out / ".published.json"
    manifest.write_text(text, errors="surrogateescape")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    with pytest.raises(
        ResourceError, match=r"\.published\.json is not the list of published files .*with --out, or remove "
    ) as raised:
        run(out, config=BuildConfig(seed=2))
    assert len(str(raised.value)) < 1000
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before and (tmp_path / "keep").exists()
    shutil.rmtree(out)
    assert cached(run(out)) == [True, True]


@pytest.mark.parametrize("digit", ["3", "5"])
def test_a_flipped_digit_in_a_published_proof_is_made_good(tmp_path: Path, digit: str) -> None:
    def proves(context: Context) -> str:
        (context.folder / "report").mkdir()
        (context.folder / "report" / "accumulators.json").write_text('{"bits_used": 14}')
        return "14 bits, proven"

    stages = (Stage("accumulators", "", proves),)
    run(tmp_path / "out", stages)
    published = tmp_path / "out" / "report" / "accumulators.json"  # the very file of the kept result
    state = published.stat()
    published.chmod(0o644)
    published.write_text('{"bits_used": 1' + digit + "}")
    os.utime(published, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert cached(run(tmp_path / "out", stages)) == [False]
    assert published.read_text() == '{"bits_used": 14}'
    assert cached(run(tmp_path / "out", stages)) == [True]


def test_programs_and_variables_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "vivado"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", f"{program.parent}:/bin:/usr/bin")
    monkeypatch.delenv("XILINX_HLS", raising=False)
    stages = (replace(FIRST, programs=("vivado",), variables=("XILINX_HLS",)),)
    seen = [cached(run(tmp_path / "out", stages))]
    for version in ("2023.1", "2024.2"):
        passing = program.with_suffix(".new")
        passing.write_text(f"#!/bin/sh\necho; echo vivado v{version}\n")
        passing.chmod(0o755)
        passing.replace(program)
        seen += [cached(run(tmp_path / "out", stages)) for _ in range(2)]
    for value in ("/opt/2022.2", "/opt/2023.1"):
        monkeypatch.setenv("XILINX_HLS", value)
        seen += [cached(run(tmp_path / "out", stages)) for _ in range(2)]
    assert seen == [[False], *[[False], [True]] * 4]


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


def test_two_builds_into_one_folder_are_one_after_the_other(tmp_path: Path) -> None:
    """Else the folder would hold stages of both."""
    started, begun = threading.Event(), []

    def slow(context: Context) -> str:
        begun.append(context.options.seed)
        started.set()
        time.sleep(0.5)
        (context.folder / f"{context.options.seed}.png").write_text("")
        return ""

    stages = (Stage("slow", "", slow, reads=("seed",)), Stage("last", "", lambda context: "", reads=("seed",)))
    text, out = StringIO(), tmp_path / "out"
    one = threading.Thread(target=run, args=(out, stages))
    one.start()
    started.wait(10)
    waiting = threading.Thread(target=run, args=(out, stages, BuildConfig(seed=1)), kwargs={"text": text})
    waiting.start()
    time.sleep(0.2)
    assert begun == [0], "the second one waits"
    one.join()
    waiting.join()
    record = json.loads((out / BUILD_RECORD).read_text())
    assert [path.name for path in out.glob("*.png")] == ["1.png"] and record["config"]["seed"] == 1
    assert f"another build writes to {out}; waiting for its end" in text.getvalue()


@pytest.mark.parametrize(
    "name", ["auto_folding_config.json", "report/accumulators.json", "logs/mine.txt", "summary.md"]
)
def test_a_folder_with_files_of_the_user_s_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / "out" / name
    file.parent.mkdir(parents=True)
    file.write_text("the user's")
    top = name.partition("/")[0]
    with pytest.raises(ConfigError, match=rf"out holds {top}, which no build put there: .* another folder with --out"):
        run(tmp_path / "out")
    assert file.read_text() == "the user's" and not (tmp_path / "out" / ".published.json").exists()


def test_a_folder_with_a_network_and_a_failed_first_stage_is_built_into(tmp_path: Path) -> None:
    def fails(context: Context) -> str:
        raise ToolError("the tool said no")

    out = tmp_path / "out"
    out.mkdir()
    (out / "net.onnx").write_text("the user's")
    with pytest.raises(ToolError):
        run(out, (Stage("first", "", fails),))
    assert cached(run(out)) == [False, False] and (out / "net.onnx").read_text() == "the user's"


def test_a_build_leaves_what_is_in_a_folder_cache_alone(tmp_path: Path) -> None:
    """Other programs keep theirs in ~/.cache."""
    theirs = tmp_path / ".cache" / "browser" / "download.partial"
    theirs.mkdir(parents=True)
    run(tmp_path / "out")
    assert theirs.is_dir() and [path.name for path in (tmp_path / ".cache").iterdir()] == ["browser"]


KILLED = """
import sys, time
from pathlib import Path
from rich.console import Console
from pipeline.config import BuildConfig
from pipeline.flow import build
from pipeline.stage import Stage
from pipeline.progress import Screen
from pipeline.tools import process
from pipeline.scratch import scratch_folder

def fast(context):
    (context.folder / "value").write_text("1")
    return "fast"

def slow(context):
    (context.folder / "half").write_text("half")
    if sys.argv[3] == "wait":
        with scratch_folder("test"), scratch_folder("test", context.shared("parts")):
            process.run(["sh", "-c", f"echo $$ > {sys.argv[2]}.new; mv {sys.argv[2]}.new {sys.argv[2]}; sleep 600"])
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
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "TMPDIR": str(temporary)}
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
    deadline = time.monotonic() + 30
    while psutil.pid_exists(int(mark.read_text())):
        assert time.monotonic() < deadline, "what it had started runs on"
        time.sleep(0.02)
    slow = tmp_path / ".a2q-cache" / "slow"
    for leftovers in (slow.glob("*.partial"), slow.glob("*/a2q-*"), temporary.iterdir()):
        assert bool(list(leftovers)) == (sent == signal.SIGKILL)
    assert not (out / "summary.md").exists()
    done = subprocess.run([*command, "go"], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[True, False]\n"
    assert (out / "summary.md").read_text() == "whole"
    assert not [*slow.glob("*.partial"), *slow.glob("*/a2q-*"), *temporary.iterdir()]


@pytest.mark.parametrize("name", ["summary.md", "report/first.json"])
def test_a_file_that_came_later_is_not_replaced(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    quiet = Screen(Console(file=StringIO()))
    build(CONFIG, out, (replace(FIRST, run=_nothing), replace(SECOND, run=_nothing)), quiet)
    (out / name).parent.mkdir(exist_ok=True)
    (out / name).write_text("mine")
    with pytest.raises(
        ConfigError, match=f"out holds {name}, which no build put there, and which this build would replace"
    ):
        build(CONFIG, out, STAGES, quiet)
    assert (out / name).read_text() == "mine"
    (out / name).unlink()
    build(CONFIG, out, STAGES, quiet)
    assert (out / name).read_text() != "mine"
    build(replace_seed(6), out, STAGES, quiet)  # what a build put there it replaces
    assert (out / "summary.md").read_text() == "value 3\n"


def _nothing(context: Context) -> str:
    return "publishes nothing"


def replace_seed(seed: int) -> BuildConfig:
    return CONFIG.model_copy(update={"seed": seed})
