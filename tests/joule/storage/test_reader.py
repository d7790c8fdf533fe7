"""What is read is a plain file of a bounded size, and text where text is expected."""

from __future__ import annotations

import os
import re
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from result_files import write_run, write_tree

from joule.report import forecasts, results
from joule.report.evaluations import ResultsError
from joule.report.markdown_page import with_table
from joule.storage import reader
from joule.storage.json_files import read_object
from joule.storage.log_files import CsvLog
from joule.storage.reader import read_lines, read_plain, read_text

HUGE = 3_000_000_000


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """Ends a test that waits for the other end of a named pipe."""
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("waited"))
    signal.alarm(20)
    yield
    signal.alarm(0)


def sparse(path: Path, size: int = HUGE) -> None:
    path.touch()
    os.truncate(path, size)


READERS: list[Callable[[Path], object]] = [
    lambda path: read_plain(path, 1000), lambda path: read_text(path, 1000), lambda path: list(read_lines(path)),
]  # fmt: skip


@pytest.mark.parametrize("read", READERS)
def test_only_plain_files_of_a_bounded_size_are_read(tmp_path: Path, read: Callable[[Path], object]) -> None:
    (tmp_path / "key").write_text("SECRET\n")
    (tmp_path / "link").symlink_to(tmp_path / "key")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "zero").symlink_to("/dev/zero")
    sparse(tmp_path / "huge")
    for name, words in [
        ("link", "is a link"), ("zero", "is a link"), ("pipe", "is a named pipe"), ("folder", "is a folder"),
        ("huge", f"holds {HUGE} bytes, at most [0-9]+ are allowed"),
    ]:  # fmt: skip
        with pytest.raises(OSError, match=f"^{name} {words}"):
            read(tmp_path / name)
    with pytest.raises(OSError, match="device"):
        read(Path("/dev/null"))
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none")
    assert read(tmp_path / "key") in (b"SECRET\n", "SECRET\n", ["SECRET\n"])


def test_text_is_utf_8_or_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "command.txt"
    path.write_bytes("läuft\r\n".encode() + b"l\xe4uft")
    with pytest.raises(OSError, match=r"^command.txt is not UTF-8 text: byte 9 is 0xe4$"):
        read_text(path, 100)
    assert read_text(path, 100, errors="backslashreplace") == "läuft\r\nl\\xe4uft"


def test_lines_are_read_one_at_a_time_and_a_cut_one_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a\n\xff\0b\ncut")
    assert list(read_lines(path)) == ["a\n", "\N{REPLACEMENT CHARACTER}b\n"]
    monkeypatch.setattr(reader, "LINE_BYTES", 10)
    path.write_bytes(b"short\n" + b"x" * 11 + b"\n")
    lines = read_lines(path)
    assert next(lines) == "short\n"
    with pytest.raises(OSError, match="line of more than 10 bytes"):
        next(lines)


def test_a_log_of_zeros_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    sparse(path, 900_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(OSError, match="line of more than"):
        CsvLog(path, ["frames"]).truncate(10)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


@pytest.mark.parametrize("name", ["evaluations.csv", "command.txt", "config.json", "forecasts.csv"])
def test_compare_reads_no_link_no_pipe_and_no_huge_file(tmp_path: Path, name: str) -> None:
    folder, key = write_run(tmp_path / "run", [1.0]), tmp_path / "id_ed25519"
    key.write_text("SECRET")
    path = folder / name
    changes: dict[str, Callable[[Path], object]] = {
        "is a link": lambda path: path.symlink_to(key),
        "is a named pipe": os.mkfifo,
        f"holds {HUGE} bytes": sparse,
        "is not UTF-8": lambda path: path.write_bytes(b"\xff"),
    }
    for words, change in changes.items():
        path.unlink(missing_ok=True)
        change(path)
        if name == "command.txt" and "UTF-8" in words:
            assert results.read_run(folder).command == "\\xff"  # a path in a command may be no UTF-8
            continue
        with pytest.raises(ResultsError, match=re.escape(words)) as refused:
            forecasts.read(results.read_run(folder).source)
        assert "SECRET" not in str(refused.value)
        assert "\n" not in str(refused.value)


def test_a_tree_of_results_is_read_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = write_tree(tmp_path)
    number = len(results.read_tree(tree))
    (tree / "loop").symlink_to(tree)
    (tree / "seed9.csv").mkdir()
    assert len(results.read_tree(tree)) == number
    (tree / "seed8.csv").symlink_to("/etc/passwd")
    with pytest.raises(ResultsError, match=r"seed8\.csv is a link"):
        results.read_tree(tree)
    monkeypatch.setattr(results, "MOST_ENTRIES", 3)
    with pytest.raises(ResultsError, match="holds more than 3 files; name a smaller tree"):
        results.read_tree(tree)
    with pytest.raises(ResultsError, match="holds no evaluations"):
        results.read_run(tree)


def test_a_page_and_settings_are_read_within_bounds(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    sparse(page)
    with pytest.raises(ResultsError, match=f"holds {HUGE} bytes"):
        with_table(page, "| a |")
    with pytest.raises(ValueError, match=f"holds {HUGE} bytes"):
        read_object(page)
