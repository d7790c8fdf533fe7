"""Faults 212 to 220: closed streams, full disks, removed folders, names that are not UTF-8, and ASCII locales."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks.reliability.command_result import CommandResult
from benchmarks.reliability.fault_table import Outcome, all_of, fault
from benchmarks.reliability.faults_disk import RANDOM
from benchmarks.reliability.faults_process import after, start
from benchmarks.reliability.run_fingerprint import checkpoint_frames
from benchmarks.reliability.sandbox import ROOT, Sandbox, options, wait_until

PENDULUM = {"env": "InvertedPendulum-v5", "steps": 60, "eval_every_frames": 60}
NOT_UTF8 = os.fsdecode(b"caf\xe9")
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
"""Environment variables of a machine on which names of files, streams and texts are ASCII."""


def shell(sandbox: Sandbox, line: str, folder: Path, **environ: str) -> CommandResult:
    """A line of bash; `{train}` and the like are the scripts. Its exit code is that of the first command."""
    scripts = {
        name: f"python {ROOT / name}.py" for name in ("train", "evaluate", "render", "explain", "compare")
    }
    here = sandbox.new_path()
    here.mkdir(parents=True)
    variables = {**os.environ, "HOME": str(sandbox.place / "home"), **environ}
    command = f"{line.format(**scripts)}\nexit ${{PIPESTATUS[0]}}"
    began = time.monotonic()
    done = subprocess.run(
        ["bash", "-c", command], cwd=here, env=variables, capture_output=True, timeout=300, check=False
    )
    out, err = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
    return CommandResult(done.returncode, out, err, time.monotonic() - began, folder)


def commands_for(run: Path, other: Path) -> dict[str, str]:
    """A line for each command on a finished run, without what follows it."""
    at = shlex.quote(str(run))
    return {
        "help": "{train} --help",
        "evaluate": f"{{evaluate}} {at} --episodes 1",
        "explain": f"{{explain}} {at} --step 3",
        "compare": f"{{compare}} {at} --out {shlex.quote(str(other))}",
    }


def no_error(result: CommandResult) -> bool:
    """Exit code 0, and nothing on stderr but how far it is."""
    words = ("error:", "stopped:", "warning:", "Traceback", "Exception ignored")
    return result.code == 0 and not any(word in result.err for word in words)


@fault(212, "stdin, stdout, stderr closed (`>&-`)", "it works without output")
def closed_streams(sandbox: Sandbox) -> Outcome:
    checks, run = {}, sandbox.train(changes=PENDULUM).folder
    for redirected in (">&-", "<&- >&- 2>&-"):
        path = sandbox.new_path()
        path.parent.mkdir()
        words = shlex.join([*options(RANDOM), "--out", str(path)])
        trained = shell(sandbox, f"{{train}} {words} {redirected}", path)
        checks[f"train {redirected}: {trained.describe()}"] = trained.survived() and not trained.out
        for name, line in commands_for(run, sandbox.new_path()).items():
            result = shell(sandbox, f"{line} {redirected}", run)
            checks[f"{name} {redirected}: {result.describe()}"] = no_error(result)
        wrong = shell(sandbox, f"{{train}} --stps 3 {redirected}", run)
        checks[f"a mistake {redirected}"] = wrong.code == 2 and wrong.no_traceback
    return all_of(checks)


@fault(213, "stdout on a full disk (`> /dev/full`)", "a sentence, exit 1; training goes on")
def full_output(sandbox: Sandbox) -> Outcome:
    checks, run = {}, sandbox.train(changes=PENDULUM).folder
    path = sandbox.new_path()
    path.parent.mkdir()
    words = shlex.join([*options(RANDOM), "--out", str(path)])
    trained = shell(sandbox, f"{{train}} {words} > /dev/full 2> /dev/full", path)
    checks[f"train: {trained.describe()}"] = trained.survived()
    for name, line in commands_for(run, sandbox.new_path()).items():
        result = shell(sandbox, f"{line} > /dev/full", run)
        checks[f"{name}: {result.describe()}"] = result.stopped(
            "the output cannot be written", "No space left"
        )
    wrong = shell(sandbox, "{train} --stps 3 2> /dev/full", run)
    checks[f"a mistake: exit {wrong.code}"] = wrong.code == 2
    return all_of(checks)


@fault(214, "the reader of the output leaves (`| head -1`), every command", "quiet, exit 0")
def reader_leaves(sandbox: Sandbox) -> Outcome:
    checks, run = {}, sandbox.train(changes=PENDULUM).folder
    for name, line in commands_for(run, sandbox.new_path()).items():
        result = shell(sandbox, f"{line} | head -0", run)
        checks[f"{name}: {result.describe()}"] = no_error(result)
    return all_of(checks)


@fault(215, "the current directory was removed", "a sentence, exit 2")
def removed_directory(sandbox: Sandbox) -> Outcome:
    checks, run = {}, sandbox.train(changes=PENDULUM).folder
    out = sandbox.new_path()
    out.parent.mkdir()
    lines = {
        **commands_for(run, sandbox.new_path()),
        "train": f"{{train}} {shlex.join([*options(RANDOM), '--out', str(out)])}",
        "module": f"python -m joule {shlex.join(['train', *options(RANDOM), '--out', str(out)])}",
        "resume": f"{{train}} --resume {run}",
    }
    for name, line in lines.items():
        result = shell(sandbox, f'rmdir "$PWD"; {line}', run)
        text = f"{name}: {result.describe()}"
        one_line = result.err.count("\n") == 1 and result.mentions("the current directory cannot be used")
        checks[text] = no_error(result) if name == "help" else result.code == 2 and one_line
    return all_of({**checks, "nothing written": not out.exists()})


@fault(216, "the current directory is removed in training, the run lies elsewhere", "SURVIVE")
def directory_removed_later(sandbox: Sandbox) -> Outcome:
    def meanwhile(child: int, folder: Path) -> None:
        wait_until(lambda: bool(checkpoint_frames(folder)))
        here.rmdir()

    here = sandbox.new_path()
    here.mkdir(parents=True)
    result = sandbox.train("--video", changes=PENDULUM, cwd=here, meanwhile=meanwhile, curve=True)
    filmed = any(result.folder.glob("videos/*.mp4"))
    return Outcome(result.survived() and filmed, f"{result.describe()}, a film {filmed}")


def everything(sandbox: Sandbox, folder: Path, environ: dict[str, str]) -> dict[str, bool]:
    """Trains into a folder, resumes it, and runs every command on it; each must end with exit code 0."""
    checks: dict[str, bool] = {}
    folder.parent.mkdir(parents=True, exist_ok=True)
    at, beside = shlex.quote(str(folder)), folder.parent
    words = [word for word in options(PENDULUM) if word != "--no-video"]
    lines = {
        "train": f"{{train}} {shlex.join(words)} --out {at}",
        "evaluate": f"{{evaluate}} {at} --episodes 1 --out {shlex.quote(str(beside / f'{folder.name}.json'))}",
        "render": f"{{render}} {at} --imagine",
        "explain": f"{{explain}} {at} --step 3",
        "compare": f"{{compare}} {at} --out {shlex.quote(str(beside / f'{folder.name}-page'))}",
        "resume": f"{{train}} --resume {at} --steps 80",
    }
    for name, line in lines.items():
        result = shell(sandbox, line, folder, **environ)
        checks[f"{name}: {result.describe()}"] = result.code == 0 and result.no_traceback
        if name == "train":
            printed = next(
                (row for row in result.out.splitlines() if row.startswith("evaluate:")), "evaluate: false"
            )
            again = shell(sandbox, printed.partition(":")[2], folder, **environ)
            checks[f"the printed command: {again.describe()}"] = again.code == 0
    films = len(list((folder / "videos").glob("*.mp4")))
    checks[f"{films} films"] = films == 3
    return checks


@fault(217, "a path that is not UTF-8, and one with a newline, quotes and an escape sequence", "it works")
def odd_paths(sandbox: Sandbox) -> Outcome:
    checks: dict[str, bool] = {}
    for name in (NOT_UTF8, "a 'run'\n\x1b[31m$HOME"):
        found = everything(sandbox, sandbox.new_path() / name, {})
        checks |= {f"{json.dumps(name)} {text}": ok for text, ok in found.items()}
    return all_of(checks)


@fault(218, "ASCII as the encoding of names, streams and texts (`LC_ALL=C`)", "it works")
def ascii_locale(sandbox: Sandbox) -> Outcome:
    checks = everything(sandbox, sandbox.new_path() / "été", ASCII)
    wrong = shell(sandbox, "{train} --énv 3", sandbox.place / "none", **ASCII)
    return all_of({**checks, "a mistake": wrong.code == 2 and wrong.err.count("\n") == 1})


@fault(219, "an argument that no file system takes: empty, too long, a NUL in an option of Python", "REJECT")
def impossible_paths(sandbox: Sandbox) -> Outcome:
    import joule
    from joule_errors import Refused

    checks: dict[str, bool] = {}
    long = "a" * 300
    for line in (
        f"{{train}} --agent random --out {long}",
        f"{{train}} --resume {long}",
        f"{{evaluate}} {long}",
        f"{{render}} {long}",
        f"{{explain}} {long} --step 1",
        f"{{compare}} {long}",
        "{evaluate} ''",
        "{compare} ''",
    ):
        result = shell(sandbox, line, sandbox.place / "none")
        text = f"{line.replace(long, 'aaa…')}: {result.describe()[:90]}"
        checks[text] = result.code == 2 and result.err.count("\n") == 1
    calls: dict[str, Any] = {
        "load": lambda: joule.load("a\0b"),
        "train": lambda: joule.train(env="InvertedPendulum-v5", agent="random", steps=40, out="a\0b"),
        "compare": lambda: joule.compare(["a\0b"]),
    }
    for name, call in calls.items():
        try:
            call()
            checks[f"{name} with a NUL: nothing raised"] = False
        except Refused:
            checks[f"{name} with a NUL"] = True
        except Exception as error:  # noqa: BLE001  the table records it
            checks[f"{name} with a NUL: {type(error).__name__}"] = False
    return all_of(checks)


@fault(220, "`nohup`: the parent ignores SIGHUP", "evaluate and training SURVIVE SIGHUP")
def nohup(sandbox: Sandbox) -> Outcome:
    import signal

    run = sandbox.train(changes=PENDULUM).folder
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a new process inherits it
    try:
        process = start(sandbox, "evaluate", [str(run), "--episodes", "3"])
        for _ in range(6):
            time.sleep(0.5)
            process.send_signal(signal.SIGHUP)
        result = after(process, run)
    finally:
        signal.signal(signal.SIGHUP, before)
    return Outcome(no_error(result), f"six SIGHUP in 3 s: {result.describe()}")
