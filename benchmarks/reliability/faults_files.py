"""Faults 42 to 60: disks that fail, files that were damaged, and files from strangers."""

from __future__ import annotations

import errno
import functools
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reliability.arena import Arena, Ended, fingerprint, steps_of, wait_for
from benchmarks.reliability.fault_table import Outcome, all_of, row

FLOOR = {"agent": "random"}


def newest(folder: Path) -> Path:
    """The newest checkpoint of a run."""
    return folder / "checkpoints" / f"step-{steps_of(folder)[-1]}"


def reseal(checkpoint: Path, change: Callable[[dict[str, Any]], object] = lambda manifest: None) -> None:
    """Makes a checkpoint's manifest true of what is in it, as one who knows the format could."""
    manifest = json.loads((checkpoint / "MANIFEST.json").read_text())
    for name, member in manifest["members"].items():
        data = (checkpoint / name).read_bytes()
        member.update(size=len(data), sha256=hashlib.sha256(data).hexdigest())
    change(manifest)
    data = json.dumps(manifest, indent=1, sort_keys=True).encode()
    (checkpoint / "MANIFEST.json").write_bytes(data)
    (checkpoint / "MANIFEST.sha256").write_text(f"{hashlib.sha256(data).hexdigest()}  MANIFEST.json\n")


def explicit(arena: Arena, checkpoint: Path, *words: str, **more: Any) -> bool:
    """Whether evaluate and render refuse a checkpoint that was named, with exit 2 and these words."""
    ends = [arena.run_script(name, [str(checkpoint)], **more) for name in ("evaluate", "render")]
    return all(e.code == 2 and e.orderly and e.says(*words) for e in ends)


class Shelf:
    """One finished run, copied for every attempt to spoil."""

    def __init__(self, arena: Arena, **changes: Any) -> None:
        self.arena = arena
        self.run = arena.train(changes=changes)
        assert self.run.code == 0, self.run.told()

    def copy(self) -> Path:
        folder = self.arena.fresh()
        shutil.copytree(self.run.folder, folder)
        return folder


@row(42, "output dir read-only / is a file / missing parent", "REJECT before training")
def _(arena: Arena) -> Outcome:
    file = arena.fresh()
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    missing = arena.fresh() / "a"
    orphan = arena.train("--out", str(missing / "b"), changes={**FLOOR, "steps": 40})
    return all_of(
        {
            "read-only": arena.train("--out", "/proc/joule", folder=Path("/proc/joule")).rejected(
                "/proc/joule"
            ),
            "a file": (e := arena.train(folder=file)).code == 2 and e.orderly and file.read_text() == "mine",
            "missing parent": orphan.rejected(f"parent folder {missing}") and not missing.parent.exists(),
        }
    )


def full_disk_after(calls: int, code: int = errno.ENOSPC) -> Callable[[], None]:
    """The disk takes `calls` writes of checkpoints and replay, and no more."""

    def tamper() -> None:
        from joule.storage.files import Disk

        real, left = Disk._put, [calls]

        def put(self: Disk, path: Path, data: Any, flags: int, at: int) -> None:
            if "checkpoints" in path.parts or "replay" in path.parts:
                left[0] -= 1
                if left[0] < 0:
                    real(self, path, memoryview(data)[: len(data) // 2], flags, at)
                    raise OSError(code, os.strerror(code), str(path))
            real(self, path, data, flags, at)

        Disk._put = put  # type: ignore[method-assign]

    return tamper


@row(43, "ENOSPC during checkpoint", "STOP, old intact")
def _(arena: Arena) -> Outcome:
    whole = arena.train()
    checks = {}
    for calls in (5, 6, 7, 8, 9):  # the second save: its replay, arrays, meta, manifest, digest
        found = arena.train(tamper=full_disk_after(calls))
        stopped = found.stopped("No space left", "last good checkpoint is step-40") and steps_of(
            found.folder
        ) == [40]
        again = arena.resume(found.folder)
        same = again.survived() and fingerprint(again.folder) == fingerprint(whole.folder)
        checks[f"write {calls}: stopped, resumed to the same hashes"] = stopped and same
    first = arena.train(tamper=full_disk_after(2))
    checks["no checkpoint yet"] = first.stopped("No space left") and arena.resume(first.folder).survived()
    return all_of(checks)


def log_disk_full(path: str, code: int = errno.ENOSPC) -> Callable[[], None]:
    def tamper() -> None:
        from joule.storage import logs

        def refuse(*given: Any, **named: Any) -> None:
            raise OSError(code, os.strerror(code))

        if path == "tables":
            logs.CsvLog.add = refuse  # type: ignore[method-assign]
        else:
            logs.TensorBoardLog.add = refuse  # type: ignore[method-assign]

    return tamper


def encoder_disk_full() -> None:
    import imageio.v2

    class Writer:
        def append_data(self, frame: Any) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def close(self) -> None:
            pass

    imageio.v2.get_writer = lambda *given, **named: Writer()  # type: ignore[assignment]


@row(44, "ENOSPC during log/video", "SURVIVE, feature off")
def _(arena: Arena) -> Outcome:
    tables = arena.train(tamper=log_disk_full("tables"), curve=True)
    board = arena.train(tamper=log_disk_full("board"))
    film = arena.train("--video", tamper=encoder_disk_full, changes={"env": "InvertedPendulum-v5", **FLOOR})
    return all_of(
        {
            f"tables: {tables.told()}": tables.survived() and tables.counted("log_failures") == 3,
            f"TensorBoard: {board.told()}": board.survived() and board.counted("log_failures") == 1,
            "film": film.survived() and film.says("no film", "No space left"),
        }
    )


def kill_at(frames: int, number: int = signal.SIGKILL) -> Callable[[int, Path], None]:
    """Sends a signal once the checkpoint of `frames` is on the disk."""

    def meanwhile(child: int, folder: Path) -> None:
        wait_for(lambda: bool(steps_of(folder)) and steps_of(folder)[-1] >= frames)
        os.kill(child, number)

    return meanwhile


@row(45, "SIGKILL at any moment incl. mid-write", "lose <=1 interval; exact resume")
def _(arena: Arena) -> Outcome:
    whole, checks = arena.train(), {}
    for frames in (40, 80):
        killed = arena.train(meanwhile=kill_at(frames))
        left = steps_of(killed.folder)[-1]
        again = arena.resume(killed.folder)
        same = again.survived() and fingerprint(again.folder) == fingerprint(whole.folder)
        checks[f"killed past {frames}, {left} kept, same hashes"] = (
            killed.code == -9 and left >= frames and same
        )
    path = Path(__file__).parents[1] / "results" / "kill.json"
    measured = json.loads(path.read_text()) if path.exists() else {}
    found = all_of(checks)
    return Outcome(
        found.ok, f"{found.text}; of many kills see kill.json: {measured.get('random_kills', 'not run')}"
    )


@row(46, "truncated checkpoint", "auto: previous valid; explicit: REJECT")
def _(arena: Arena) -> Outcome:
    shelf = Shelf(arena)
    folder = shelf.copy()
    arrays = newest(folder) / "arrays.safetensors"
    arrays.write_bytes(arrays.read_bytes()[:-100])
    refused = explicit(arena, newest(folder), "damaged")
    again = arena.resume(folder)
    same = again.survived() and fingerprint(folder) == fingerprint(shelf.run.folder)
    return Outcome(
        refused and same and again.says("damaged"),
        f"named: refused {refused}; resumed from the one before, said so, same hashes: {same}",
    )


@row(47, "1 bit flipped", "REJECT")
def _(arena: Arena) -> Outcome:
    shelf, checks = Shelf(arena), {}
    for name in ("arrays.safetensors", "meta.json", "MANIFEST.json", "MANIFEST.sha256"):
        folder = shelf.copy()
        path = newest(folder) / name
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 4
        path.write_bytes(data)
        checks[name] = explicit(arena, newest(folder), "step-120")
    folder = shelf.copy()
    segment = next((folder / "replay").iterdir())
    data = bytearray(segment.read_bytes())
    data[len(data) // 3] ^= 4
    segment.write_bytes(data)
    checks["replay"] = explicit(arena, newest(folder), "damaged") and arena.resume(folder).code == 2
    return all_of(checks)


@row(48, "0-byte / text / HTML named .ckpt, a dir, missing", "REJECT naming cause")
def _(arena: Arena) -> Outcome:
    place = arena.fresh("x").parent
    place.mkdir(parents=True)
    (place / "empty.ckpt").write_bytes(b"")
    (place / "text.ckpt").write_text("hello")
    (place / "page.ckpt").write_text("<!doctype html><html></html>")
    (place / "folder").mkdir()
    checks = {}
    for name in ("empty.ckpt", "text.ckpt", "page.ckpt", "folder", "missing"):
        doors = (("train", ["--resume", str(place / name)]), ("evaluate", [str(place / name)]),
                 ("render", [str(place / name)]), ("compare", [str(place / name)]))  # fmt: skip
        ends = [arena.run_script(run_script, words) for run_script, words in doors]
        checks[name] = all(e.code == 2 and e.orderly and e.says(name) for e in ends)
    return all_of(checks)


@row(49, "newer format / older format", 'REJECT "written by >=X" / migrate')
def _(arena: Arena) -> Outcome:
    shelf, checks = Shelf(arena), {}
    for number, words in ((2, "newer"), (0, "format 1")):
        folder = shelf.copy()
        reseal(newest(folder), functools.partial(dict.update, format=number))
        checks[f"checkpoint of format {number}"] = explicit(arena, newest(folder), words)
    folder = shelf.copy()
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**record, "format": 2}))
    checks["run of format 2"] = explicit(arena, folder, "newer")
    return all_of(checks)


def _identify(manifest: dict[str, Any], name: str, value: Any) -> None:
    manifest["identity"][name] = value


@row(50, "checkpoint of other env or dims", "REJECT naming both")
def _(arena: Arena) -> Outcome:
    shelf, checks = Shelf(arena), {}
    changes = {"env": "Hopper-v5", "observation_size": 11, "action_size": 3, "run": "f" * 32}
    for name, value in changes.items():
        folder = shelf.copy()
        mine = json.loads((newest(folder) / "MANIFEST.json").read_text())["identity"][name]
        reseal(newest(folder), functools.partial(_identify, name=name, value=value))
        checks[name] = explicit(arena, newest(folder), str(value), str(mine))
    return all_of(checks)


@row(51, "checkpoint of other algorithm", "REJECT")
def _(arena: Arena) -> Outcome:
    shelf = Shelf(arena)
    named = shelf.copy()
    reseal(newest(named), lambda m: m["identity"].update(agent="sac"))
    changed = shelf.copy()
    config = json.loads((changed / "config.json").read_text())
    (changed / "config.json").write_text(json.dumps({**config, "agent": "sac"}))
    return all_of(
        {
            "manifest says sac": explicit(arena, newest(named), "sac", "joule"),
            "config says sac": explicit(arena, newest(changed), "sac", "joule"),
            "both say sac": explicit(arena, newest(both(shelf)), "holds rows"),
        }
    )


def both(shelf: Shelf) -> Path:
    """A run of joule that says everywhere that it is sac's."""
    folder = shelf.copy()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "agent": "sac"}))
    for checkpoint in (folder / "checkpoints").iterdir():
        reseal(checkpoint, lambda m: m["identity"].update(agent="sac"))
    return folder


@row(52, "file missing, extra, or swapped from another run", "REJECT (manifest, run-id)")
def _(arena: Arena) -> Outcome:
    shelf = Shelf(arena)
    other = arena.train("--seed", "2")
    checks = {}
    for name in ("arrays.safetensors", "meta.json", "MANIFEST.json", "MANIFEST.sha256"):
        folder = shelf.copy()
        (newest(folder) / name).unlink()
        checks[f"{name} missing"] = explicit(arena, newest(folder), "step-120")
        folder = shelf.copy()
        shutil.copy(newest(other.folder) / name, newest(folder) / name)
        checks[f"{name} swapped"] = explicit(arena, newest(folder), "step-120")
    folder = shelf.copy()
    (newest(folder) / "extra.py").write_text("print(1)")
    checks["extra file"] = explicit(arena, newest(folder), "extra.py")
    folder = shelf.copy()
    shutil.rmtree(newest(folder))
    shutil.copytree(newest(other.folder), folder / "checkpoints" / "step-120")
    checks["checkpoint of another run"] = explicit(arena, newest(folder), "its run is")
    folder = shelf.copy()
    shutil.rmtree(folder / "replay")
    shutil.copytree(other.folder / "replay", folder / "replay")
    checks["replay of another run"] = explicit(arena, newest(folder), "damaged")
    return all_of(checks)


@row(53, "pickle payload in ckpt/replay/dataset/npy", "never executed, REJECT")
def _(arena: Arena) -> Outcome:
    shelf, mark = Shelf(arena), arena.place / "owned"
    # What `pickle` would write for os.system("touch ..."): whoever unpickles it leaves the mark.
    payload = f"cos\nsystem\n(S'touch {mark}'\ntR.".encode()
    checks = {}
    for name in ("arrays.safetensors", "meta.json"):
        folder = shelf.copy()
        (newest(folder) / name).write_bytes(payload)
        reseal(newest(folder))
        checks[name] = explicit(arena, newest(folder), name)
    folder = shelf.copy()
    next((folder / "replay").iterdir()).write_bytes(payload * 500)
    checks["replay"] = explicit(arena, newest(folder), "replay")
    for name in ("run.json", "config.json"):
        folder = shelf.copy()
        (folder / name).write_bytes(payload)
        checks[name] = explicit(arena, folder, name)
    folder = shelf.copy()
    (folder / "evaluations.csv").write_bytes(payload)
    checks["evaluations.csv"] = (e := arena.run_script("compare", [str(folder)])).code == 2 and e.orderly
    return all_of(checks | {"nothing was executed": not mark.exists()})


@row(54, "`../`, absolute, symlink member; zip bomb; header claims 100 GB", "REJECT, RSS bounded")
def _(arena: Arena) -> Outcome:
    shelf, checks = Shelf(arena), {}
    outside = arena.place / "outside"
    outside.write_text("secret")

    def hostile(name: str, spoil: Callable[[Path], object], *words: str, **more: Any) -> None:
        folder = shelf.copy()
        spoil(newest(folder))
        checks[name] = explicit(arena, newest(folder), *words, **more)

    def segment(name: str) -> Callable[[Path], None]:
        return lambda c: reseal(c, lambda m: m["files"]["replay"]["segments"][0].update(name=name))

    hostile("../ in the replay", segment("../../outside"), "segment")
    hostile("absolute in the replay", segment(str(outside)), "segment")
    hostile(
        "../ as a member",
        lambda c: reseal(c, lambda m: m["members"].update({"../x": {"size": 1, "sha256": ""}})),
        "MANIFEST",
    )

    def link(c: Path) -> None:
        (c / "meta.json").unlink()
        (c / "meta.json").symlink_to(outside)

    hostile("a link as a member", link, "link")

    def bomb(c: Path) -> None:
        with zipfile.ZipFile(c / "arrays.safetensors", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x", b"\0" * 200_000_000)
        reseal(c)

    memory = {resource.RLIMIT_AS: 8 << 30}
    hostile("a zip bomb", bomb, "arrays.safetensors", limits=memory)

    def claim(c: Path) -> None:
        header = json.dumps(
            {"x": {"dtype": "F32", "shape": [25_000_000_000], "data_offsets": [0, 100_000_000_000]}}
        ).encode()
        (c / "arrays.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 64)
        reseal(c)

    hostile("a header of 100 GB", claim, "arrays.safetensors", limits=memory)
    hostile(
        "a size of 100 GB",
        lambda c: reseal(c, lambda m: m["members"]["meta.json"].update(size=10**11)),
        "meta.json",
    )

    def sparse(c: Path) -> None:
        os.truncate(c / "meta.json", 100_000_000_000)

    hostile("a sparse file of 100 GB", sparse, "meta.json", limits=memory)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    found = all_of(checks)
    return Outcome(found.ok and peak < 2000, f"{found.text}; {peak:.0f} MiB at most in any child")


@row(55, "two runs, same directory", "second REJECTed by lock; stale lock recovered")
def _(arena: Arena) -> Outcome:
    second: list[Ended] = []

    def meanwhile(child: int, folder: Path) -> None:
        wait_for(lambda: bool(steps_of(folder)))
        os.kill(child, signal.SIGSTOP)
        second.append(arena.resume(folder))
        second.append(arena.train(folder=folder))
        os.kill(child, signal.SIGKILL)

    killed = arena.train(meanwhile=meanwhile)
    again = arena.resume(killed.folder)
    ok = (
        second[0].code == 2
        and second[0].says("in use by process")
        and second[1].code == 2
        and again.survived()
    )
    return Outcome(
        ok, f"second: {second[0].told()}; a new run there: {second[1].told()}; after a kill: {again.told()}"
    )


@row(56, "run dir deleted/moved during the run", "STOP or recreate, no silent loss")
def _(arena: Arena) -> Outcome:
    def gone(move: bool) -> Callable[[int, Path], None]:
        def meanwhile(child: int, folder: Path) -> None:
            wait_for(lambda: bool(steps_of(folder)))
            os.kill(child, signal.SIGSTOP)
            folder.rename(folder.with_name("elsewhere")) if move else shutil.rmtree(folder)
            os.kill(child, signal.SIGCONT)

        return meanwhile

    moved, deleted = arena.train(meanwhile=gone(True)), arena.train(meanwhile=gone(False))
    again = arena.resume(moved.folder.with_name("elsewhere"))
    ok = (
        all(e.stopped("was removed or moved") and not e.folder.exists() for e in (moved, deleted))
        and again.code == 0
    )
    return Outcome(
        ok,
        f"moved: {moved.told()}; deleted: {deleted.told()}; resumed where it was moved to: exit {again.code}",
    )


@row(57, "stale `.tmp-*` after kill", "removed, never loaded")
def _(arena: Arena) -> Outcome:
    shelf = Shelf(arena)
    folder = shelf.copy()
    shutil.copytree(newest(folder), folder / "checkpoints" / ".tmp-123-500")
    (folder / ".tmp-123-summary.json").write_text("{")
    again = arena.resume(folder, "--steps", "160")
    left = [str(p.relative_to(folder)) for p in folder.rglob(".tmp-*")]
    return Outcome(
        again.survived() and again.summary()["frames"] == 160 and not left,
        f"{again.told()} at 160 frames; left: {left or 'none'}",
    )


@row(58, "path with spaces/UTF-8/250 chars; symlinked dir", "works")
def _(arena: Arena) -> Outcome:
    checks = {}
    real = arena.fresh("real")
    real.mkdir(parents=True)
    link = real.with_name("link")
    link.symlink_to(real)
    names = {
        "spaces": arena.fresh("a run  here"),
        "UTF-8": arena.fresh("läuft-走る"),
        "250": arena.fresh("x" * 250),
        "link": link / "run",
    }
    for name, folder in names.items():
        made = arena.train(folder=folder, changes={**FLOOR, "steps": 60})
        seen = arena.run_script("evaluate", [str(folder), "--episodes", "1"])
        more = arena.resume(folder, "--steps", "80")
        checks[name] = made.survived() and seen.code == 0 and more.survived()
    return all_of(checks)


@row(59, "dataset: missing/ragged episode, NaN rows, wrong dtype", "REJECT naming episode")
def _(arena: Arena) -> Outcome:
    """The only data that is read is the replay; here it was resealed by one who knows the format."""
    shelf, checks = Shelf(arena), {}

    def spoiled(name: str, spoil: Callable[[np.ndarray], np.ndarray], *words: str) -> None:
        folder = shelf.copy()
        path = next((folder / "replay").iterdir())
        commit = json.loads((newest(folder) / "MANIFEST.json").read_text())["files"]["replay"]
        record = np.dtype([(n, d, tuple(s)) for n, d, s in commit["record"]])
        rows = spoil(np.fromfile(path, record).copy())
        path.write_bytes(rows.tobytes())
        claim = {"rows": len(rows), "sha256": hashlib.sha256(rows.tobytes()).hexdigest()}
        reseal(newest(folder), lambda m: m["files"]["replay"]["segments"][0].update(claim))
        found = arena.run_script("evaluate", [str(newest(folder))])
        checks[f"{name} ({found.last[-90:]})"] = found.code == 2 and found.orderly and found.says(*words)

    def nan(rows: np.ndarray) -> np.ndarray:
        rows["obs"][len(rows) // 2] = np.nan
        return rows

    spoiled("NaN rows", nan, "not finite", "obs")
    spoiled("missing rows", lambda rows: rows[: len(rows) // 2], "replay")
    folder = shelf.copy()
    reseal(newest(folder), lambda m: m["files"]["replay"]["record"][0].__setitem__(1, "<f8"))
    checks["wrong dtype"] = explicit(arena, newest(folder), "replay", "<f8")
    return all_of(checks)


def no_memory_at(decision: int) -> Callable[[], None]:
    def tamper() -> None:
        from agent.agent import WorldModelAgent

        real = WorldModelAgent.update_once

        def study(self: WorldModelAgent) -> None:
            if self.decisions >= decision:
                raise MemoryError
            real(self)

        WorldModelAgent.update_once = study  # type: ignore[method-assign]

    return tamper


@row(60, "`ulimit -n 64`, RLIMIT_AS, MemoryError", "STOP, old ckpt ok")
def _(arena: Arena) -> Outcome:
    files = arena.train(limits={resource.RLIMIT_NOFILE: 64})
    fewer = arena.train(limits={resource.RLIMIT_NOFILE: 12})
    size = int(re.search(r"VmSize:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024  # type: ignore[index]
    memory = arena.train(
        limits={resource.RLIMIT_AS: size + (60 << 20)}, changes={"env": "Humanoid-v5", "learning.batch_size": 16384}
    )
    error = arena.train(tamper=no_memory_at(60))
    again = arena.resume(error.folder)
    small = arena.train(limits={resource.RLIMIT_FSIZE: 20_000})
    return all_of(
        {
            f"64 files: {files.told()}": files.survived(),
            f"12 files: {fewer.told()}": fewer.code in (0, 1, 2) and fewer.orderly,
            f"60 MiB more: {memory.told()}": memory.code == 1 and memory.orderly and memory.says("memory"),
            f"MemoryError: {error.told()}": error.stopped("memory is short", "step-40") and again.survived(),
            f"files of 20 kB: {small.told()}": small.stopped("too large"),
        }
    )
