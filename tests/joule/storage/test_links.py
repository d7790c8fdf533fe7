"""No file of a run is written or read through a link, and nothing but a plain file is replaced."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from run_files import TABLES, evaluation, make_run

from joule.storage import files, run_lock
from joule.storage.checkpoint import CheckpointError, load
from joule.storage.errors import RunError
from joule.storage.files import DISK, open_append, replace_file, replacing
from joule.storage.links import check_inside
from joule.storage.log_files import CsvLog
from joule.storage.new_folder import new_folder
from joule.storage.owners import MACHINE
from joule.storage.reader import read_plain
from joule.storage.replay_log import ReplayLog, ReplayLogError
from joule.storage.run_folder import Run
from joule.storage.run_lock import RunLock
from joule.storage.run_paths import located

pytestmark = pytest.mark.usefixtures("no_flush")


def write_by_library(path: Path, data: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def append(path: Path, data: bytes) -> None:
    handle = open_append(path)
    os.write(handle, data)
    os.close(handle)


def add_row(path: Path, data: bytes) -> None:
    CsvLog(path, ["frames"]).add({"frames": 1})


WRITERS: list[Callable[[Path, bytes], object]] = [
    replace_file, write_by_library, append, add_row, DISK.write, lambda path, data: DISK.append(path, data, 0),
]  # fmt: skip


@pytest.mark.parametrize("flag", [files.NO_LINK, 0], ids=["O_NOFOLLOW", "no O_NOFOLLOW"])
@pytest.mark.parametrize("write", WRITERS)
def test_nothing_is_written_through_a_link_or_over_what_is_no_file(
    tmp_path: Path, write: Callable[[Path, bytes], object], flag: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "NO_LINK", flag)
    precious, place = tmp_path / "bashrc", tmp_path / "run"
    precious.write_text("mine")
    place.mkdir()
    (place / "link").symlink_to(precious)
    (place / "dangling").symlink_to(tmp_path / "new")
    os.mkfifo(place / "pipe")
    (place / "folder").mkdir()
    before = sorted(os.listdir(place))
    for name, kind in [
        ("link", "a link"),
        ("dangling", "a link"),
        ("pipe", "a named pipe"),
        ("folder", "a folder"),
    ]:
        with pytest.raises(OSError, match=f"{name} is {kind}"):
            write(place / name, b"bad")
    assert (precious.read_text(), sorted(os.listdir(place))) == ("mine", before)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("flag", [files.NO_LINK, 0], ids=["O_NOFOLLOW", "no O_NOFOLLOW"])
@pytest.mark.parametrize("opens", [open_append, lambda path: read_plain(path, 100)])
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_appears_between_the_look_and_the_opening_is_seen(
    tmp_path: Path, opens: Callable[[Path], object], kind: str, flag: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    precious, path, real = tmp_path / "bashrc", tmp_path / "log.csv", os.open
    precious.write_text("mine")

    def swap(name: Path, flags: int, mode: int) -> int:
        path.symlink_to(precious) if kind == "link" else os.mkfifo(path)
        return real(name, flags, mode)

    monkeypatch.setattr(files, "NO_LINK", flag)
    monkeypatch.setattr(files.os, "open", swap)
    with pytest.raises(
        OSError, match=r"replaced while it was opened|Too many levels|not a plain file|No such device"
    ):
        opens(path)
    assert precious.read_text() == "mine"


@pytest.mark.parametrize("write", [replace_file, write_by_library])
def test_an_error_names_the_file_and_not_the_temporary_one(
    tmp_path: Path, write: Callable[[Path, bytes], object]
) -> None:
    path = tmp_path / "missing" / "film.mp4"
    with pytest.raises(FileNotFoundError) as caught:
        write(path, b"")
    assert files.why(caught.value) == "film.mp4: No such file or directory"


def test_folders_in_a_run_are_no_links_and_those_on_the_way_to_it_may_be(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "real")
    make_run(tmp_path / "runs/x").close()
    (tmp_path / "latest").symlink_to(tmp_path / "runs/x")
    run, elsewhere = Run.open(tmp_path / "latest"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    replace_file(run.folder / "curve.png", b"picture")
    assert (tmp_path / "real/x/curve.png").read_bytes() == b"picture"
    for name in ("explanations", "videos", "replay"):
        (run.folder / name).symlink_to(elsewhere)
    for path in (run.folder / "explanations/a.png", run.folder / "replay/stream-1/segment"):
        with pytest.raises(OSError, match="is a link, which a run folder must not hold"):
            replace_file(path, b"")
        with pytest.raises(OSError, match="is a link, which a run folder must not hold"):
            read_plain(path, 10)
    with pytest.raises(OSError, match="videos is a link"):
        DISK.make(run.folder / "videos")
    assert not list(elsewhere.iterdir())
    check_inside(run.folder / ".." / "latest" / "curve.png")  # the link is beside the run


def test_a_run_that_goes_on_names_a_link_before_it_begins(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    for name, make, words in [
        ("curve.png", lambda path: path.symlink_to(tmp_path / "bashrc"), "curve.png is a link"),
        ("videos", lambda path: path.symlink_to(tmp_path), "videos is a link"),
        ("metrics.csv", os.mkfifo, "metrics.csv is a named pipe"),
        ("summary.json", os.mkdir, "summary.json is a folder"),
        ("replay", Path.touch, "replay is not a folder"),
    ]:
        make(run.folder / name)
        with pytest.raises(RunError, match=words):
            run.lock()
        path = run.folder / name
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    run.lock().close()


def test_a_file_with_a_second_name_is_replaced_or_refused_and_the_other_stays(tmp_path: Path) -> None:
    run, backup = make_run(tmp_path / "run"), tmp_path / "backup"
    backup.mkdir()
    run.log({"loss": 1.0}, 10)
    run.evaluated(evaluation(10))
    run.forecasts([{"frames": 10}])
    for name in TABLES:
        os.link(run.folder / name, backup / name)
    kept = {name: (backup / name).read_bytes() for name in TABLES}
    with pytest.warns(RuntimeWarning, match="metrics.csv has 2 names"):
        run.log({"loss": 2.0}, 20)  # linked while it runs
    run.close()
    again = Run.open(run.folder)
    again.truncate_logs(10)
    again.log({"loss": 2.0}, 20)
    again.evaluated(evaluation(20))
    again.forecasts([{"frames": 20}])
    again.close()
    assert {name: (backup / name).read_bytes() for name in TABLES} == kept
    assert all((run.folder / name).read_bytes().startswith(kept[name]) for name in TABLES)
    assert again.counters["log_failures"] == 0


def test_a_replay_log_leaves_a_backup_of_hard_links_as_it_is(tmp_path: Path) -> None:
    import numpy as np

    columns = {"x": ((), "int64")}
    log = ReplayLog(tmp_path / "replay", columns)
    log.append({"x": np.arange(5)})
    committed = log.commit()
    segment = tmp_path / "replay/segment-00000000.rows"
    os.link(segment, tmp_path / "backup")
    kept = segment.read_bytes()
    log.append({"x": np.arange(5)})
    with pytest.raises(ReplayLogError, match="2 names"):
        log.commit()
    again = ReplayLog.open(tmp_path / "replay", columns, committed)
    again.append({"x": np.arange(5, 9)})
    assert len(again.commit()["segments"]) == 2
    assert (tmp_path / "backup").read_bytes() == kept
    np.testing.assert_array_equal(again.read(0, 9)["x"], np.arange(9))


def test_a_lock_with_a_second_name_is_replaced_and_shows_nothing_of_the_other(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("SECRET")
    os.link(key, tmp_path / "run.lock")
    first = RunLock(tmp_path)
    assert (key.read_text(), (tmp_path / "run.lock").read_text()) == ("SECRET", f"{os.getpid()}\n")
    with pytest.raises(RunError, match=f"in use by process {os.getpid()}"):
        RunLock(tmp_path)
    first.release()
    RunLock(tmp_path).release()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    (tmp_path / "run.lock").unlink()
    os.link(key, tmp_path / "run.lock")
    with key.open() as other:
        run_lock.fcntl.flock(other, run_lock.fcntl.LOCK_EX)
        with pytest.raises(RunError, match=r"in use by process unknown$"):
            RunLock(tmp_path)
    (tmp_path / "run.lock").unlink()
    (tmp_path / "run.lock").symlink_to(key)
    with pytest.raises(RunError, match=r"run\.lock is a link"):
        RunLock(tmp_path)
    assert key.read_text() == "SECRET"


def test_two_that_replace_a_lock_do_not_both_hold_it(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("")
    os.link(tmp_path / "other", tmp_path / "run.lock")
    held: list[RunLock] = []

    def take() -> None:
        with contextlib.suppress(RunError):
            held.append(RunLock(tmp_path))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(held) == 1


def test_a_failed_write_leaves_the_old_file_and_no_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 120)  # 240 bytes: its temporary name must not be too long
    replace_file(path, b"old")

    def interrupted(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt

    def linked(temporary: Path) -> None:
        temporary.unlink()
        temporary.symlink_to(path)

    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        interrupted(temporary)
    with pytest.raises(OSError, match="is a link"), replacing(path) as temporary:
        linked(temporary)
    assert (os.listdir(tmp_path), path.read_bytes()) == ([path.name], b"old")
    with replacing(path) as temporary:
        assert temporary.name.endswith("é")
        temporary.write_bytes(b"new")
    assert (os.listdir(tmp_path), path.read_bytes()) == ([path.name], b"new")


def test_what_killed_processes_left_is_removed_and_what_others_write_stays(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    dead, alive = 2**22 + 1, os.getppid()  # no system has a process of the first number
    for folder in (run.folder, run.folder / "videos", run.folder / "explanations"):
        folder.mkdir(exist_ok=True)
        (folder / f".tmp-{dead}-a.mp4").touch()
        (folder / f".tmp-{MACHINE}.{dead}-c.mp4").touch()
        (folder / f".tmp-{alive}-b.mp4").touch()
    (run.folder / f".tmp-{alive}-metrics.csv").touch()  # only the holder of the lock writes it
    (run.folder / "videos" / f".tmp-{dead}-link").symlink_to(tmp_path)
    run.lock().close()
    left = sorted(str(path.relative_to(run.folder)) for path in run.folder.rglob(".tmp-*"))
    assert left == [f".tmp-{alive}-b.mp4", f"explanations/.tmp-{alive}-b.mp4", f"videos/.tmp-{alive}-b.mp4"]


def test_what_a_process_of_another_machine_writes_stays(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    run.videos.mkdir(exist_ok=True)
    dead, theirs = 2**22 + 1, "0" * 6 if MACHINE != "0" * 6 else "1" * 6
    film, folder = run.videos / f".tmp-{theirs}.{dead}-a.mp4", tmp_path / f".tmp-{theirs}.{dead}-0-agent"
    film.touch()
    folder.mkdir()
    (tmp_path / f".tmp-{MACHINE}.{dead}-0-agent").mkdir()
    run.lock().close()
    with new_folder(tmp_path / "new", "agent") as temporary:
        temporary.mkdir()
    assert film.exists()
    os.utime(film, (0, 0))
    run.lock().close()
    assert not film.exists(), "nobody has written it for a week"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted((folder.name, "new", "run"))


def test_a_checkpoint_may_be_named_by_a_link_beside_runs_but_not_in_one(tmp_path: Path) -> None:
    from checkpoint_files import put

    run = make_run(tmp_path / "run")
    step = put(run.checkpoints, 5)
    (tmp_path / "best").symlink_to(step)
    assert located(tmp_path / "best") == (run.folder, step)
    step.rename(tmp_path / "elsewhere")
    step.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="step-5 is a link"):
        located(step)
    with pytest.raises(CheckpointError, match="step-5 is a link"):
        load(step)
