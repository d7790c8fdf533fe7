"""Faults 42 to 45, 55, 56, 58 and 60: paths, full disks, kills, locks, and limits of the process."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import shutil
import signal
from pathlib import Path
from typing import Any

from benchmarks.reliability.command_result import CommandResult
from benchmarks.reliability.fault_table import Outcome, all_of, fault
from benchmarks.reliability.run_fingerprint import checkpoint_frames, fingerprint
from benchmarks.reliability.sandbox import Meanwhile, Patch, Sandbox, wait_until

RANDOM = {"agent": "random"}
KILLS = Path(__file__).parents[1] / "results" / "kill.json"


@fault(42, "output dir read-only / is a file / missing parent", "REJECT before training")
def output_folder(sandbox: Sandbox) -> Outcome:
    file = sandbox.new_path()
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    missing = sandbox.new_path() / "a"
    no_parent = sandbox.train("--out", str(missing / "b"), changes={**RANDOM, "steps": 40})
    read_only = sandbox.train("--out", "/proc/joule", folder=Path("/proc/joule"))
    on_file = sandbox.train(folder=file)
    refused = no_parent.rejected(f"parent folder {missing}")
    return all_of(
        {
            "read-only": read_only.rejected("/proc/joule"),
            "a file": on_file.code == 2 and on_file.no_traceback and file.read_text() == "mine",
            "missing parent": refused and not missing.parent.exists(),
        }
    )


def full_disk_after(writes: int) -> Patch:
    """The disk takes this many writes of checkpoints and replay; the next one stores half of its bytes."""

    def patch() -> None:
        from joule.storage.files import Disk

        real, left = Disk._write_at, [writes]

        def write_at(self: Disk, path: Path, data: Any, flags: int, at: int) -> None:
            if "checkpoints" in path.parts or "replay" in path.parts:
                left[0] -= 1
                if left[0] < 0:
                    real(self, path, memoryview(data)[: len(data) // 2], flags, at)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            real(self, path, data, flags, at)

        Disk._write_at = write_at  # type: ignore[method-assign]

    return patch


@fault(43, "ENOSPC during checkpoint", "STOP, old intact")
def disk_full_in_a_save(sandbox: Sandbox) -> Outcome:
    reference = fingerprint(sandbox.train().folder)
    checks = {}
    for writes in (5, 6, 7, 8, 9):  # the second save: its replay, arrays, meta, manifest, digest
        result = sandbox.train(patch=full_disk_after(writes))
        stopped = result.stopped("No space left", "last good checkpoint is step-40")
        stopped &= checkpoint_frames(result.folder) == [40]
        again = sandbox.resume(result.folder)
        same = again.survived() and fingerprint(again.folder) == reference
        checks[f"write {writes}: stopped, resumed to the same hashes"] = stopped and same
    first = sandbox.train(patch=full_disk_after(2))
    resumed = sandbox.resume(first.folder).survived()
    checks["no checkpoint yet"] = first.stopped("No space left") and resumed
    return all_of(checks)


def log_disk_full(log: str) -> Patch:
    """The disk is full for one kind of log: CsvLog or TensorBoardLog."""

    def patch() -> None:
        from joule.storage import log_files

        def refuse(*given: Any, **named: Any) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        getattr(log_files, log).add = refuse

    return patch


def video_disk_full() -> None:
    """The disk is full for videos."""
    import imageio.v2

    class Writer:
        def append_data(self, frame: Any) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def close(self) -> None:
            pass

    imageio.v2.get_writer = lambda *given, **named: Writer()  # type: ignore[assignment]


TABLES = 5
"""Tables of a run of the world-model agent: metrics, evaluations, forecasts, readouts, episodes."""


@fault(44, "ENOSPC during log/video", "SURVIVE, feature off")
def disk_full_for_logs(sandbox: Sandbox) -> Outcome:
    tables = sandbox.train(patch=log_disk_full("CsvLog"), curve=True)
    board = sandbox.train(patch=log_disk_full("TensorBoardLog"))
    rendered = {"env": "InvertedPendulum-v5", **RANDOM}
    video = sandbox.train("--video", patch=video_disk_full, changes=rendered)
    return all_of(
        {
            f"tables: {tables.describe()}": tables.survived() and tables.counter("log_failures") == TABLES,
            f"TensorBoard: {board.describe()}": board.survived() and board.counter("log_failures") == 1,
            f"video: {video.describe()}": video.survived() and video.mentions("No space left"),
        }
    )


def signal_at(frames: int, number: int = signal.SIGKILL) -> Meanwhile:
    """Sends a signal once the checkpoint at `frames` is on the disk."""

    def meanwhile(child: int, folder: Path) -> None:
        wait_until(lambda: max(checkpoint_frames(folder), default=-1) >= frames)
        os.kill(child, number)

    return meanwhile


@fault(45, "SIGKILL at any moment incl. mid-write", "lose <=1 interval; exact resume")
def killed(sandbox: Sandbox) -> Outcome:
    reference, checks = fingerprint(sandbox.train().folder), {}
    for frames in (40, 80):
        result = sandbox.train(meanwhile=signal_at(frames))
        kept = checkpoint_frames(result.folder)[-1]
        again = sandbox.resume(result.folder)
        same = again.survived() and fingerprint(again.folder) == reference
        name = f"killed past {frames}, {kept} kept, same hashes"
        checks[name] = result.code == -signal.SIGKILL and kept >= frames and same
    many = json.loads(KILLS.read_text()) if KILLS.exists() else {}
    found = all_of(checks)
    return Outcome(
        found.ok, f"{found.text}; of many kills see kill.json: {many.get('random_kills', 'not run')}"
    )


@fault(55, "two runs, same directory", "second REJECTed by lock; stale lock recovered")
def folder_in_use(sandbox: Sandbox) -> Outcome:
    second: list[CommandResult] = []

    def meanwhile(child: int, folder: Path) -> None:
        wait_until(lambda: bool(checkpoint_frames(folder)))
        os.kill(child, signal.SIGSTOP)
        second.append(sandbox.resume(folder))
        second.append(sandbox.train(folder=folder))
        os.kill(child, signal.SIGKILL)

    killed = sandbox.train(meanwhile=meanwhile)
    again = sandbox.resume(killed.folder)
    resumed, new = second
    locked = resumed.code == 2 and resumed.mentions("in use by process")
    ok = locked and new.code == 2 and again.survived()
    texts = (resumed.describe(), new.describe(), again.describe())
    return Outcome(ok, "second: {}; a new run there: {}; after a kill: {}".format(*texts))


@fault(56, "run dir deleted/moved during the run", "STOP or recreate, no silent loss")
def folder_removed(sandbox: Sandbox) -> Outcome:
    def remove(move: bool) -> Meanwhile:
        def meanwhile(child: int, folder: Path) -> None:
            wait_until(lambda: bool(checkpoint_frames(folder)))
            os.kill(child, signal.SIGSTOP)
            folder.rename(folder.with_name("elsewhere")) if move else shutil.rmtree(folder)
            os.kill(child, signal.SIGCONT)

        return meanwhile

    moved, deleted = (sandbox.train(meanwhile=remove(move)) for move in (True, False))
    again = sandbox.resume(moved.folder.with_name("elsewhere"))
    stopped = all(r.stopped("was removed or moved") and not r.folder.exists() for r in (moved, deleted))
    text = f"moved: {moved.describe()}; deleted: {deleted.describe()}; resumed at its new path: exit {again.code}"
    return Outcome(stopped and again.code == 0, text)


@fault(58, "path with spaces/UTF-8/250 chars; symlinked dir", "works")
def unusual_paths(sandbox: Sandbox) -> Outcome:
    real = sandbox.new_path("real")
    real.mkdir(parents=True)
    link = real.with_name("link")
    link.symlink_to(real)
    paths = {
        "spaces": sandbox.new_path("a run  here"),
        "UTF-8": sandbox.new_path("läuft-走る"),
        "250": sandbox.new_path("x" * 250),
        "link": link / "run",
    }
    checks = {}
    for name, folder in paths.items():
        made = sandbox.train(folder=folder, changes={**RANDOM, "steps": 60})
        evaluated = sandbox.run_command("evaluate", [str(folder), "--episodes", "1"])
        resumed = sandbox.resume(folder, "--steps", "80")
        checks[name] = made.survived() and evaluated.code == 0 and resumed.survived()
    return all_of(checks)


def no_memory_at(decision: int) -> Patch:
    """Gradient steps raise MemoryError from a decision on."""

    def patch() -> None:
        from agent.learning.interaction import Interaction

        real = Interaction.update_once

        def update_once(self: Interaction) -> None:
            if self.decisions >= decision:
                raise MemoryError
            real(self)

        Interaction.update_once = update_once  # type: ignore[method-assign]

    return patch


@fault(60, "`ulimit -n 64`, RLIMIT_AS, MemoryError", "STOP, old ckpt ok")
def process_limits(sandbox: Sandbox) -> Outcome:
    found = re.search(r"VmSize:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    little = int(found[1]) * 1024 + (60 << 20)
    large = {"env": "Humanoid-v5", "learning.batch_size": 16384}
    files = sandbox.train(limits={resource.RLIMIT_NOFILE: 64})
    fewer = sandbox.train(limits={resource.RLIMIT_NOFILE: 12})
    memory = sandbox.train(limits={resource.RLIMIT_AS: little}, changes=large)
    error = sandbox.train(patch=no_memory_at(60))
    again = sandbox.resume(error.folder)
    small = sandbox.train(limits={resource.RLIMIT_FSIZE: 20_000})
    stopped = error.stopped("memory is short", "step-40")
    no_memory = memory.code == 1 and memory.no_traceback and memory.mentions("memory")
    return all_of(
        {
            f"64 files: {files.describe()}": files.survived(),
            f"12 files: {fewer.describe()}": fewer.code in (0, 1, 2) and fewer.no_traceback,
            f"60 MiB more: {memory.describe()}": no_memory,
            f"MemoryError: {error.describe()}": stopped and again.survived(),
            f"files of 20 kB: {small.describe()}": small.stopped("too large"),
        }
    )
