"""Faults 101 to 117: links, hard links, named pipes and devices where Joule writes."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

from benchmarks.reliability.command_result import CommandResult
from benchmarks.reliability.damaged_runs import FinishedRun
from benchmarks.reliability.fault_table import Outcome, all_of, fault, outcome
from benchmarks.reliability.run_fingerprint import newest_checkpoint
from benchmarks.reliability.sandbox import Sandbox

LINK = "is a link, which a run folder must not hold"
MINE = "export PATH=$PATH:~/bin\n" * 50
"""The content of a file that must stay as it is."""
RENDERED = {"env": "InvertedPendulum-v5", "agent": "random", "steps": 60}
SMALL_FILM = ("--width", "64", "--height", "480", "--episodes", "1")
MORE = ("--steps", "160")


def precious(sandbox: Sandbox) -> Path:
    """A file outside of every run, which must stay as it is."""
    path = sandbox.new_path("bashrc")
    path.parent.mkdir(parents=True)
    path.write_text(MINE)
    return path


def replace_by_link(path: Path, target: Path) -> None:
    """Puts a link in the place of a file or folder."""
    remove(path)
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(target)


def replace_by_pipe(path: Path) -> None:
    """Puts a named pipe in the place of a file."""
    remove(path)
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)


def remove(path: Path) -> None:
    """Removes a file, a link or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def refused(result: CommandResult, *words: str) -> bool:
    """Whether a command ended with exit code 2, no traceback and these words."""
    return result.code == 2 and result.no_traceback and result.mentions(*words)


def tree(folder: Path) -> Mapping[str, bytes]:
    """The content of every file under a folder by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@fault(101, "`curve.png` is a link to a file, then `--resume`", "REJECT; the file stays")
def curve_is_a_link(sandbox: Sandbox) -> Outcome:
    folder, target = FinishedRun(sandbox).copy(), precious(sandbox)
    replace_by_link(folder / "curve.png", target)
    result = sandbox.resume(folder, *MORE, curve=True)
    return outcome(result, refused(result, "curve.png", LINK) and target.read_text() == MINE)


@fault(102, "tables, settings, summary or command are links, then `--resume`", "REJECT each; the file stays")
def file_is_a_link(sandbox: Sandbox) -> Outcome:
    run, checks = FinishedRun(sandbox), {}
    for name in (
        "metrics.csv", "evaluations.csv", "forecasts.csv", "episodes.csv", "summary.json", "config.json", "run.json",
        "versions.json", "command.txt",
    ):  # fmt: skip
        folder, target = run.copy(), precious(sandbox)
        replace_by_link(folder / name, target)
        checks[name] = refused(sandbox.resume(folder, *MORE), name, LINK) and target.read_text() == MINE
    return all_of(checks)


@fault(103, "a folder of the run is a link to a folder elsewhere", "REJECT each; nothing is written there")
def folder_is_a_link(sandbox: Sandbox) -> Outcome:
    run, checks = FinishedRun(sandbox), {}
    for name in ("checkpoints", "replay", "videos", "explanations", "tensorboard"):
        folder, elsewhere = run.copy(), sandbox.new_path("elsewhere")
        if (folder / name).exists():
            shutil.copytree(folder / name, elsewhere)
        else:
            elsewhere.mkdir(parents=True)
        before = tree(elsewhere)
        replace_by_link(folder / name, elsewhere)
        checks[name] = refused(sandbox.resume(folder, *MORE), name, LINK) and tree(elsewhere) == before
    return all_of(checks)


@fault(
    104, "a picture or JSON file under `explanations/` is a link, then `explain`", "REJECT; the file stays"
)
def explanation_is_a_link(sandbox: Sandbox) -> Outcome:
    run, checks = FinishedRun(sandbox), {}
    words = ["--step", "2"]
    made = run.copy()
    assert sandbox.run_command("explain", [str(made), *words]).code == 0
    for path in sorted((made / "explanations").iterdir()):
        folder, target = run.copy(), precious(sandbox)
        replace_by_link(folder / "explanations" / path.name, target)
        result = sandbox.run_command("explain", [str(folder), *words])
        alone = [each.name for each in (folder / "explanations").iterdir()] == [path.name]
        checks[path.suffix] = refused(result, LINK) and target.read_text() == MINE and alone
    return all_of(checks)


@fault(105, "`explanations/` is a link elsewhere, then `explain`, also by `--out`", "REJECT; nothing there")
def explanations_are_a_link(sandbox: Sandbox) -> Outcome:
    folder, elsewhere = FinishedRun(sandbox).copy(), sandbox.new_path("elsewhere")
    elsewhere.mkdir(parents=True)
    replace_by_link(folder / "explanations", elsewhere)
    words = [str(folder), "--step", "2"]
    default = sandbox.run_command("explain", words)
    typed = sandbox.run_command("explain", [*words, "--out", str(folder / "explanations")])
    checks = {"default": refused(default, LINK), "--out": refused(typed, LINK)}
    return all_of(checks | {"nothing there": not list(elsewhere.iterdir())})


@fault(106, "a film, or `videos/`, is a link, then `render`", "REJECT; the file stays")
def film_is_a_link(sandbox: Sandbox) -> Outcome:
    made, checks = sandbox.train(changes=RENDERED).folder, {}
    for name in ("step-60.mp4", ""):
        folder, target, elsewhere = sandbox.new_path(), precious(sandbox), sandbox.new_path("elsewhere")
        shutil.copytree(made, folder)
        elsewhere.mkdir(parents=True)
        replace_by_link(folder / "videos" / name, target if name else elsewhere)
        result = sandbox.run_command("render", [str(folder), *SMALL_FILM])
        stays = target.read_text() == MINE and not list(elsewhere.iterdir())
        stated = result.code in (1, 2) and result.no_traceback and result.mentions(LINK)
        checks[name or "videos/"] = stated and stays
    return all_of(checks)


@fault(107, "`evaluation.json` is a link, then `evaluate`", "REJECT; the file stays")
def evaluation_is_a_link(sandbox: Sandbox) -> Outcome:
    folder, target = FinishedRun(sandbox).copy(), precious(sandbox)
    replace_by_link(folder / "evaluation.json", target)
    result = sandbox.run_command("evaluate", [str(folder), "--episodes", "1"])
    return outcome(result, refused(result, LINK) and target.read_text() == MINE)


@fault(108, "`run.lock` is a hard link of a file", "works; the file stays")
def lock_is_a_hard_link(sandbox: Sandbox) -> Outcome:
    folder, target = FinishedRun(sandbox).copy(), precious(sandbox)
    remove(folder / "run.lock")
    os.link(target, folder / "run.lock")
    result = sandbox.resume(folder, *MORE)
    return outcome(result, result.survived() and target.read_text() == MINE)


@fault(109, "`run.lock` is a link, or a named pipe", "REJECT; the file stays")
def lock_is_a_link(sandbox: Sandbox) -> Outcome:
    run, target = FinishedRun(sandbox), precious(sandbox)
    linked, piped = run.copy(), run.copy()
    replace_by_link(linked / "run.lock", target)
    replace_by_pipe(piped / "run.lock")
    link, pipe = sandbox.resume(linked, *MORE), sandbox.resume(piped, *MORE, timeout=60.0)
    stays = target.read_text() == MINE
    return all_of(
        {"a link": refused(link, LINK) and stays, "a pipe": refused(pipe, "run.lock is a named pipe")}
    )


@fault(110, "a table is a hard link of a file", "works; the file stays")
def table_is_a_hard_link(sandbox: Sandbox) -> Outcome:
    run, checks = FinishedRun(sandbox), {}
    for name in ("metrics.csv", "evaluations.csv", "forecasts.csv", "episodes.csv"):
        folder, other = run.copy(), sandbox.new_path("other")
        other.parent.mkdir(parents=True)
        os.link(folder / name, other)
        before = other.read_bytes()
        result = sandbox.resume(folder, *MORE)
        checks[name] = result.survived() and other.read_bytes() == before
    return all_of(checks)


@fault(111, "a backup by hard links (`cp -al`) of a run, then `--resume`", "works; the backup stays")
def backup_of_hard_links(sandbox: Sandbox) -> Outcome:
    folder, backup = FinishedRun(sandbox).copy(), sandbox.new_path("backup")
    shutil.copytree(folder, backup, copy_function=os.link)
    before = tree(backup)
    result = sandbox.resume(folder, *MORE)
    same = tree(backup) == before
    again = sandbox.run_command("evaluate", [str(newest_checkpoint(backup)), "--episodes", "1", "--out",
                                             str(sandbox.newest_log / "e.json")])  # fmt: skip
    return outcome(result, result.survived() and same and again.code == 0)


@fault(112, "named pipes in the place of files, then `--resume`", "REJECT each at once, no waiting")
def pipes_to_write(sandbox: Sandbox) -> Outcome:
    run, checks = FinishedRun(sandbox), {}
    for name in ("curve.png", "metrics.csv", "summary.json", "config.json"):
        folder = run.copy()
        replace_by_pipe(folder / name)
        result = sandbox.resume(folder, *MORE, timeout=60.0)
        checks[name] = refused(result, f"{name} is a named pipe") and result.seconds < 30
    return all_of(checks)


@fault(113, "links under the temporary names of the process", "works; the file stays")
def links_at_temporary_names(sandbox: Sandbox) -> Outcome:
    target = precious(sandbox)
    folder = FinishedRun(sandbox).copy()

    def plant() -> None:  # in the child, whose number the names hold
        for name in (
            "metrics.csv",
            "evaluations.csv",
            "forecasts.csv",
            "summary.json",
            "config.json",
            "curve.png",
        ):
            (folder / f".tmp-{os.getpid()}-{name}").symlink_to(target)
        (folder / "checkpoints" / f".tmp-{os.getpid()}-160").symlink_to(target.parent)

    result = sandbox.resume(folder, *MORE, patch=plant, curve=True)
    stays = target.read_text() == MINE and os.listdir(target.parent) == [target.name]
    left = [path.name for path in folder.rglob(".tmp-*")]
    return outcome(result, result.survived() and stays and not left)


@fault(114, "`--out` names a link, a named pipe, a device or a folder", "REJECT; it stays")
def out_is_no_file(sandbox: Sandbox) -> Outcome:
    folder, target = FinishedRun(sandbox).copy(), precious(sandbox)
    place, checks = target.parent, {}
    (place / "link").symlink_to(target)
    (place / "null").symlink_to("/dev/null")
    os.mkfifo(place / "pipe")
    (place / "folder").mkdir()
    for name in ("link", "null", "pipe", "folder"):
        before = os.lstat(place / name).st_mode
        words = [str(folder), "--episodes", "1", "--out", str(place / name)]
        result = sandbox.run_command("evaluate", words, timeout=60.0)
        checks[name] = refused(result, name) and os.lstat(place / name).st_mode == before
    device = stat.S_ISCHR(os.stat("/dev/null").st_mode)
    return all_of(checks | {"nothing changed": target.read_text() == MINE and device})


@fault(115, "the run folder, its parent or a checkpoint is named by a link", "works")
def named_by_a_link(sandbox: Sandbox) -> Outcome:
    real = sandbox.new_path("real")
    real.mkdir(parents=True)
    place = real.parent
    (place / "runs").symlink_to(real)
    trained = sandbox.train(folder=place / "runs" / "x")
    (place / "latest").symlink_to(real / "x")
    (place / "best").symlink_to(newest_checkpoint(real / "x"))
    latest = str(place / "latest")
    checks = {
        "train": trained.survived() and (real / "x" / "summary.json").is_file(),
        "evaluate": sandbox.run_command("evaluate", [latest, "--episodes", "1"]).code == 0,
        "evaluate a checkpoint": sandbox.run_command(
            "evaluate", [str(place / "best"), "--episodes", "1"]
        ).code
        == 0,
        "explain": sandbox.run_command("explain", [latest, "--step", "2"]).code == 0,
        "compare": sandbox.run_command("compare", [latest]).code == 0,
        "resume": sandbox.resume(place / "latest", *MORE, curve=True).survived(),
    }
    return all_of(checks)


@fault(
    116,
    "`compare --out` holds links; `--readme` is a link to a page",
    "REJECT the first; the page is changed",
)
def comparison_is_a_link(sandbox: Sandbox) -> Outcome:
    run, checks = FinishedRun(sandbox), {}
    for name in ("compare.html", "compare.png", "table.md", "table.csv"):
        target, out = precious(sandbox), sandbox.new_path("out")
        replace_by_link_in(out, name, target)
        result = sandbox.run_command("compare", [str(run.folder), "--out", str(out)])
        checks[name] = refused(result, f"{name} is a link") and target.read_text() == MINE
    page = sandbox.new_path("page.md")
    page.parent.mkdir(parents=True)
    page.write_text("<!-- results:begin -->\n<!-- results:end -->\n")
    link = page.with_name("README.md")
    link.symlink_to(page)
    result = sandbox.run_command("compare", [str(run.folder), "--readme", str(link)])
    checks["--readme"] = result.code == 0 and link.is_symlink() and "| environment" in page.read_text()
    return all_of(checks)


def replace_by_link_in(folder: Path, name: str, target: Path) -> None:
    """A new folder that holds one link."""
    folder.mkdir(parents=True)
    (folder / name).symlink_to(target)


@fault(117, "a system without O_NOFOLLOW (Windows)", "links are refused all the same")
def no_flag_for_links(sandbox: Sandbox) -> Outcome:
    def without_flag() -> None:
        from joule.storage import files

        files.NO_LINK = 0

    run, target = FinishedRun(sandbox), precious(sandbox)
    written, read = run.copy(), run.copy()
    replace_by_link(written / "metrics.csv", target)
    replace_by_link(read / "config.json", target)
    write = sandbox.resume(written, *MORE, patch=without_flag)
    evaluate = sandbox.run_command("evaluate", [str(read)], patch=without_flag)
    normal = sandbox.resume(run.copy(), *MORE, patch=without_flag)
    checks = {
        "write": refused(write, LINK),
        "read": refused(evaluate, LINK),
        "without a link": normal.survived(),
    }
    return all_of(checks | {"the file stays": target.read_text() == MINE})
