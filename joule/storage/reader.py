"""How Joule reads the files of a run folder, which may come from another person.

Only plain files are read: no link is followed (see `links`), and a named pipe or a device, which might never end,
is refused. Every kind of file has a largest size, and the size is checked before anything is read.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

from joule.storage.files import open_plain_file

JSON_BYTES = 1 << 20
"""Of a JSON file: settings, the run's record, its summary."""
COMMAND_BYTES = 1 << 20
"""Of `command.txt`: about what a shell accepts."""
EVALUATIONS_BYTES = 16 << 20
"""Of a table of evaluations: about 100,000 of them."""
FORECASTS_BYTES = 64 << 20
"""Of `forecasts.csv`: about ten times what a run writes."""
READOUTS_BYTES = 64 << 20
"""Of `readouts.csv`: about 10,000 evaluations of a large robot."""
LOG_BYTES = 1 << 30
"""Of a table that is read line by line, in little memory."""
LINE_BYTES = 1 << 20
"""Of a line of such a table."""
TAIL_BYTES = 64 << 10
"""Of the end of a file that grows, where only its newest lines are wanted."""
PAGE_BYTES = 16 << 20
"""Of a Markdown page that gets a table."""


def open_plain(path: Path) -> tuple[int, int]:
    """Opens a plain file for reading.

    Returns:
        The file descriptor and the size of the file in bytes.

    Raises:
        OSError: `path` is a link, is not a plain file, or cannot be opened.
    """
    handle = open_plain_file(path, os.O_RDONLY)
    return handle, os.fstat(handle).st_size


def read_plain(path: Path, limit: int) -> bytes:
    """The bytes of a plain file of at most `limit` bytes. The size is checked before anything is read.

    Raises:
        OSError: the file is a link, is not a plain file, is larger than `limit`, or cannot be read.
    """
    handle, size = open_plain(path)
    with os.fdopen(handle, "rb") as file:
        _check_size(path, size, limit)
        return file.read(size)


def read_text(path: Path, limit: int, errors: str = "strict") -> str:
    """The text of a plain file of at most `limit` bytes, with its line ends as they are.

    Args:
        path: the file.
        limit: its largest size in bytes.
        errors: what is done with bytes that are not UTF-8; see `bytes.decode`.

    Raises:
        OSError: as `read_plain`, and for a file that is not UTF-8.
    """
    data = read_plain(path, limit)
    try:
        return data.decode("utf-8", errors)
    except UnicodeDecodeError as error:
        raise OSError(
            f"{path.name} is not UTF-8 text: byte {error.start} is 0x{data[error.start]:02x}"
        ) from None


def whole_rows(table: str) -> str:
    """The text of a CSV without a last row that a kill has cut short: it has fewer cells than the header."""
    lines = table.splitlines(keepends=True)
    if len(lines) < 2 or lines[-1].endswith("\n"):
        return table
    header, last = next(csv.reader(lines[:1]), []), next(csv.reader(lines[-1:]), [])
    return "".join(lines[:-1]) if len(last) < len(header) else table


def read_lines(path: Path, limit: int = LOG_BYTES) -> Iterator[str]:
    """The complete lines of a plain file one by one, each with its line end.

    A last line without a line end was cut off by a kill, and is left out. Bytes that are not UTF-8 are replaced.

    Raises:
        OSError: as `read_plain`, and for a line of more than LINE_BYTES bytes.
    """
    handle, size = open_plain(path)
    with os.fdopen(handle, "rb") as file:
        _check_size(path, size, limit)
        while line := file.readline(LINE_BYTES + 1):
            if len(line) > LINE_BYTES:
                raise OSError(f"{path.name} has a line of more than {LINE_BYTES} bytes")
            if line.endswith(b"\n"):
                yield line.decode("utf-8", "replace").replace("\0", "")


def read_tail(path: Path, begin: int = 0) -> str:
    """The end of a plain file that may be growing: at most TAIL_BYTES bytes. Other bytes than UTF-8 are replaced.

    Args:
        path: the file.
        begin: offset in bytes before which nothing is read.

    Raises:
        OSError: the file is a link, is not a plain file, or cannot be read.
    """
    handle, size = open_plain(path)
    with os.fdopen(handle, "rb") as file:
        file.seek(max(begin, size - TAIL_BYTES))
        return file.read(TAIL_BYTES).decode("utf-8", "replace").replace("\0", "")


def read_newest_row(path: Path) -> dict[str, str]:
    """The last complete row of a CSV table by column, without reading those between; empty where there is none.

    Raises:
        OSError: as `read_tail`, and for a row of more than TAIL_BYTES bytes.
    """
    handle, _ = open_plain(path)
    with os.fdopen(handle, "rb") as file:
        header = file.readline(LINE_BYTES).decode("utf-8", "replace")
    complete, end, _ = read_tail(path, len(header.encode())).rpartition("\n")
    lines = complete.splitlines()
    if not end or not lines:
        return {}
    return next(csv.DictReader([header, lines[-1]]), {})


def _check_size(path: Path, size: int, limit: int) -> None:
    if size > limit:
        raise OSError(f"{path.name} holds {size} bytes, at most {limit} are allowed")
