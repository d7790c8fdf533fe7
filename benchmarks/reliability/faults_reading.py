"""Faults 118 to 131: links, named pipes, huge files and files that are not text where Joule reads."""

from __future__ import annotations

import json
import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

from benchmarks.reliability.damaged_runs import FinishedRun, refused_by_readers, replay_segment
from benchmarks.reliability.fault_table import Outcome, all_of, fault
from benchmarks.reliability.faults_links import MORE, refused, replace_by_link, replace_by_pipe
from benchmarks.reliability.run_fingerprint import newest_checkpoint
from benchmarks.reliability.sandbox import TINY_ENV, Sandbox

SECRET = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n"
HUGE = 3_000_000_000
COMPARED = ("evaluations.csv", "command.txt", "config.json", "forecasts.csv")
"""What `compare` reads in a run folder."""
AT_ONCE = 10.0
"""Seconds in which a refusal comes that reads nothing."""


def secret_file(sandbox: Sandbox) -> Path:
    """A private key outside of every run."""
    path = sandbox.new_path("id_ed25519")
    path.parent.mkdir(parents=True)
    path.write_text(SECRET)
    return path


def sparse(path: Path, size: int = HUGE) -> None:
    """Makes a file of zeros that takes no space."""
    path.unlink(missing_ok=True)
    path.touch()
    os.truncate(path, size)


def memory_stays(before: int) -> bool:
    """Whether no child so far needed 1 GB more than the largest child had needed before."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss - before < 1_000_000


def largest_child() -> int:
    """The memory of the largest child so far, in kB."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


@fault(118, "`command.txt` is a link to a private key, then `compare`", "REJECT; the key is shown nowhere")
def command_is_a_link(sandbox: Sandbox) -> Outcome:
    folder, key = FinishedRun(sandbox).copy(), secret_file(sandbox)
    replace_by_link(folder / "command.txt", key)
    out = sandbox.new_path("out")
    result = sandbox.run_command("compare", [str(folder), "--out", str(out)])
    shown = result.mentions("b3BlbnNzaC1rZXk") or out.exists()
    return all_of(
        {result.describe(): refused(result, "command.txt is a link"), "nothing is shown": not shown}
    )


@fault(119, "the other files that `compare` reads are links", "REJECT each")
def compared_file_is_a_link(sandbox: Sandbox) -> Outcome:
    run, key, checks = FinishedRun(sandbox), secret_file(sandbox), {}
    for name in COMPARED:
        folder = run.copy()
        replace_by_link(folder / name, key)
        checks[name] = refused(sandbox.run_command("compare", [str(folder)]), f"{name} is a link")
    return all_of(checks)


@fault(120, "a sparse file of 3 GB where `compare` reads", "REJECT each with both sizes; little memory")
def compared_file_is_huge(sandbox: Sandbox) -> Outcome:
    run, checks = FinishedRun(sandbox), {}
    before = largest_child()
    for name in COMPARED:
        folder = run.copy()
        sparse(folder / name)
        result = sandbox.run_command("compare", [str(folder)])
        checks[name] = refused(result, f"{HUGE} bytes", "are allowed") and result.seconds < AT_ONCE
    return all_of(checks | {"memory": memory_stays(before)})


@fault(121, "a named pipe where `compare` reads", "REJECT each at once, no waiting")
def compared_file_is_a_pipe(sandbox: Sandbox) -> Outcome:
    run, checks = FinishedRun(sandbox), {}
    for name in COMPARED:
        folder = run.copy()
        replace_by_pipe(folder / name)
        result = sandbox.run_command("compare", [str(folder)], timeout=60.0)
        checks[name] = refused(result, f"{name} is a named pipe") and result.seconds < AT_ONCE
    return all_of(checks)


@fault(
    122, "files that are not UTF-8, or deep JSON, where `compare` reads", "REJECT; a command's path is shown"
)
def compared_file_is_not_text(sandbox: Sandbox) -> Outcome:
    run, checks = FinishedRun(sandbox), {}
    for name in ("evaluations.csv", "config.json", "forecasts.csv"):
        folder = run.copy()
        (folder / name).write_bytes((folder / name).read_bytes() + b"\xff\xfe")
        checks[name] = refused(sandbox.run_command("compare", [str(folder)]), f"{name} is not UTF-8 text")
    folder = run.copy()
    (folder / "config.json").write_text("[" * 200_000)
    checks["deep JSON"] = refused(sandbox.run_command("compare", [str(folder)]), "config.json")
    folder = run.copy()
    (folder / "command.txt").write_bytes(b"python train.py --out l\xe4uft\n")
    result = sandbox.run_command("compare", [str(folder), "--out", str(sandbox.place / "out")])
    checks["command.txt"] = (
        result.code == 0 and "l\\xe4uft" in (sandbox.place / "out/compare.html").read_text()
    )
    return all_of(checks)


@fault(123, "a tree of results with links, pipes, huge files, a loop", "REJECT each; a loop is not followed")
def tree_of_results(sandbox: Sandbox) -> Outcome:
    table = FinishedRun(sandbox).folder / "evaluations.csv"
    checks = {}

    def attempt(name: str, change: Callable[[Path], object], *words: str) -> None:
        tree = sandbox.new_path("tree")
        place = tree / "joule" / "Point"
        place.mkdir(parents=True)
        shutil.copy(table, place / "seed0.csv")
        change(place)
        result = sandbox.run_command("compare", ["--results", str(tree)], timeout=60.0)
        checks[name] = refused(result, *words) if words else result.code == 0

    attempt(
        "a link", lambda place: (place / "seed1.csv").symlink_to(secret_file(sandbox)), "seed1.csv is a link"
    )
    attempt("a pipe", lambda place: os.mkfifo(place / "seed1.csv"), "seed1.csv is a named pipe")
    attempt("3 GB", lambda place: sparse(place / "seed1.csv"), f"{HUGE} bytes")
    attempt("a folder", lambda place: (place / "seed1.csv").mkdir())
    attempt("a loop", lambda place: (place / "again").symlink_to(place.parent))
    return all_of(checks)


@fault(124, "`metrics.csv` of 3 GB, or one line of 900 MB, then `--resume`", "REJECT; little memory")
def huge_log(sandbox: Sandbox) -> Outcome:
    run, checks = FinishedRun(sandbox), {}
    before = largest_child()
    for size, words in ((HUGE, f"{HUGE} bytes"), (900_000_000, "a line of more than")):
        folder = run.copy()
        sparse(folder / "metrics.csv", size)
        result = sandbox.resume(folder, *MORE)
        checks[f"{size:,} bytes: {result.describe()}"] = refused(result, "metrics.csv", words)
    return all_of(checks | {"memory": memory_stays(before)})


@fault(125, "`run.json` or `config.json` is a pipe, a link or 3 GB", "REJECT each at once")
def settings_are_no_file(sandbox: Sandbox) -> Outcome:
    run, key, checks = FinishedRun(sandbox), secret_file(sandbox), {}
    for name in ("run.json", "config.json"):
        changes: dict[str, tuple[Callable[[Path], object], str]] = {
            "pipe": (replace_by_pipe, "is a named pipe"),
            "link": (lambda path: replace_by_link(path, key), "is a link"),
            "3 GB": (sparse, f"{HUGE} bytes"),
        }
        for kind, (change, words) in changes.items():
            folder = run.copy()
            change(folder / name)
            checks[f"{name}: {kind}"] = refused_by_readers(sandbox, folder, words, timeout=60.0)
    return all_of(checks)


@fault(126, "a checkpoint is a link to a checkpoint elsewhere", "REJECT by name; the one before is used")
def checkpoint_is_a_link(sandbox: Sandbox) -> Outcome:
    run = FinishedRun(sandbox)
    folder, elsewhere = run.copy(), sandbox.new_path("elsewhere")
    newest = newest_checkpoint(folder)
    shutil.copytree(newest, elsewhere)
    replace_by_link(newest, elsewhere)
    named = refused_by_readers(sandbox, newest, "is a link")
    whole = sandbox.run_command("evaluate", [str(folder), "--episodes", "1"])
    frames = json.loads((folder / "evaluation.json").read_text())["frames"] if whole.code == 0 else 0
    return all_of({"by name": named, f"the run: {whole.describe()}": whole.code == 0 and 0 < frames < 120})


@fault(127, "a member of a checkpoint is a named pipe", "REJECT at once, no waiting")
def member_is_a_pipe(sandbox: Sandbox) -> Outcome:
    run, checks = FinishedRun(sandbox), {}
    for name in ("meta.json", "arrays.safetensors", "MANIFEST.json", "MANIFEST.sha256"):
        folder = run.copy()
        replace_by_pipe(newest_checkpoint(folder) / name)
        refusal = refused_by_readers(
            sandbox, newest_checkpoint(folder), f"{name} is a named pipe", timeout=60.0
        )
        checks[name] = refusal
    return all_of(checks)


@fault(128, "a replay segment is a link or a named pipe", "REJECT at once, no waiting")
def segment_is_no_file(sandbox: Sandbox) -> Outcome:
    run = FinishedRun(sandbox)
    linked, piped = run.copy(), run.copy()
    segment, elsewhere = replay_segment(linked), sandbox.new_path("rows")
    elsewhere.parent.mkdir(parents=True)
    shutil.copy(segment, elsewhere)
    replace_by_link(segment, elsewhere)
    replace_by_pipe(replay_segment(piped))
    link, pipe = sandbox.resume(linked, *MORE), sandbox.resume(piped, *MORE, timeout=60.0)
    return all_of({"link": refused(link, "is a link"), "pipe": refused(pipe, "is a named pipe")})


@fault(129, "`--readme` of 3 GB, not UTF-8, or a pipe", "REJECT each; the page stays")
def page_is_no_text(sandbox: Sandbox) -> Outcome:
    run, checks = FinishedRun(sandbox), {}
    page = sandbox.new_path("page.md")
    page.parent.mkdir(parents=True)
    words = [str(run.folder), "--readme", str(page), "--out", str(page.with_name("out"))]
    sparse(page)
    checks["3 GB"] = refused(sandbox.run_command("compare", words), f"{HUGE} bytes")
    page.write_bytes(b"<!-- results:begin -->\xff<!-- results:end -->")
    before = page.read_bytes()
    not_text = sandbox.run_command("compare", words)
    checks["not UTF-8"] = refused(not_text, "is not UTF-8 text") and page.read_bytes() == before
    replace_by_pipe(page)
    checks["a pipe"] = refused(sandbox.run_command("compare", words, timeout=60.0), "is a named pipe")
    return all_of(checks | {"no file": not page.with_name("out").exists()})


@fault(130, "the user's list of runs is a link, a pipe or 3 GB", "no run is trusted by it; it stays")
def list_of_runs(sandbox: Sandbox) -> Outcome:
    run, checks = FinishedRun(sandbox), {}
    entries = sandbox.place / "home" / ".local" / "state" / "joule" / "runs"
    kept = entries.read_bytes()
    module = f"--trust-module {TINY_ENV.partition(':')[0]}"
    other = entries.with_name("other")

    def link() -> None:
        other.write_bytes(kept)
        entries.unlink()
        entries.symlink_to(other)

    changes: dict[str, Callable[[], object]] = {
        "link": link,
        "pipe": lambda: replace_by_pipe(entries),
        "3 GB": lambda: sparse(entries),
    }
    for name, change in changes.items():
        change()
        opened = sandbox.run_command("evaluate", [str(run.folder)], timeout=60.0)
        made = (
            sandbox.train(changes={"agent": "random", "steps": 40}, timeout=60.0) if name != "3 GB" else None
        )
        trained = made is None or (made.survived() and made.mentions("not on your list of runs"))
        checks[name] = refused(opened, module) and trained
    return all_of(checks | {"the file stays": other.read_bytes() == kept})


@fault(131, "`compare` of a folder of a million names that is no run", "REJECT within seconds")
def folder_of_everything(sandbox: Sandbox) -> Outcome:
    folder = sandbox.new_path("everything")
    folder.mkdir(parents=True)

    def large() -> None:  # the walk meets as many names, without as many files on the disk
        real = os.walk

        def walk(top: Path) -> object:
            for place, folders, names in real(top):
                yield place, folders, [*names, *(f"{number}.txt" for number in range(1_000_000))]

        os.walk = walk  # type: ignore[assignment]

    hint = sandbox.run_command("compare", [str(folder)], patch=large)
    tree = sandbox.run_command("compare", ["--results", str(folder)], patch=large)
    checks = {
        "a run": refused(hint, "holds no evaluations.csv"),
        "a tree": refused(tree, "more than 200,000 files"),
    }
    return all_of(checks | {"in time": max(hint.seconds, tree.seconds) < AT_ONCE})
