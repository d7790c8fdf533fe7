"""The films of the page: the newest film of one run per row of the table.

A small film is in the page itself, up to a bound for all of them. A larger one is linked by its path from the
page's folder, so that both can be moved together.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from joule.report.evaluations import Run
from joule.report.table import Row
from joule.storage.links import check_inside
from joule.storage.reader import open_plain

LARGEST_FILM = 6 << 20
"""Bytes of a film that is put into the page."""
ALL_FILMS = 16 << 20
"""Bytes of all films in the page; it grows by a third of that more."""
MOST_FILMS = 60
"""Films that a page shows."""
_NAME = re.compile(r"step-([0-9]{1,12})(?:-episodes-[0-9]+)?(?:-[0-9]+x[0-9]+)?\.mp4")
_MARK = b"ftyp"
"""What an MP4 file holds at its fifth byte."""


@dataclass(frozen=True)
class Film:
    """A film on the page."""

    task: str
    label: str
    seed: int
    frames: int
    """Frames of training."""
    megabytes: float
    source: str
    """A data URI, or the path from the page."""
    embedded: bool


def of_rows(table: Sequence[Row], runs: Sequence[Run], folder: Path) -> list[Film]:
    """A film per row that has one, in the order of the table: that of the lowest seed.

    Args:
        table: the rows.
        runs: the labelled runs behind them.
        folder: where the page will be.
    """
    found: list[Film] = []
    left = ALL_FILMS
    for row in table:
        members = [run for run in runs if (run.task, run.label) == (row.task, row.label)]
        for run in sorted(members, key=lambda run: run.seed):
            film = _film(run, folder, min(left, LARGEST_FILM))
            if film is not None:
                found.append(film)
                left -= int(film.megabytes * 1e6) if film.embedded else 0
                break
        if len(found) == MOST_FILMS:
            break
    return found


def _film(run: Run, folder: Path, most: int) -> Film | None:
    """The newest film of a run, in the page where it has at most `most` bytes. None where there is none."""
    newest = _newest(run.source / "videos")
    if newest is None:
        return None
    path, frames = newest
    try:
        handle, size = open_plain(path)
        with os.fdopen(handle, "rb") as file:
            head = file.read(12)
            data = head + file.read(size - len(head)) if size <= most else b""
    except OSError:  # a link, a pipe or no permission: there is no film to show
        return None
    if head[4:8] != _MARK:
        return None
    source = (
        f"data:video/mp4;base64,{base64.b64encode(data).decode('ascii')}" if data else _link(path, folder)
    )
    return Film(run.task, run.label, run.seed, frames, size / 1e6, source, bool(data))


def _newest(videos: Path) -> tuple[Path, int] | None:
    """The film of a whole run with the most frames of training; None where there is none."""
    try:
        check_inside(videos)
        names = [] if videos.is_symlink() else os.listdir(videos)
    except OSError:
        return None
    films = [(int(match[1]), -len(name), name) for name in names if (match := _NAME.fullmatch(name))]
    if not films:
        return None
    frames, _, name = max(films)  # of equal frames the shortest name: one episode, the usual size
    return videos / name, frames


def _link(path: Path, folder: Path) -> str:
    """The path from the page's folder to a film, as an address."""
    try:
        relative = os.path.relpath(path.resolve(), folder.resolve())
    except ValueError:  # on another drive of Windows
        return path.resolve().as_uri()
    return quote(relative.replace(os.sep, "/"), safe="/", errors="surrogateescape")
