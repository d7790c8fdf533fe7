"""What a command gives back: its JSON values, the files that hold them, and a text for the reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


class Record(Mapping[str, Any]):
    """The JSON values of an evaluation or an explanation. `print(record)` shows them as the command does.

    Args:
        values: by name.
        text: for a reader.
        paths: the files that were written.
    """

    def __init__(self, values: Mapping[str, Any], text: str, paths: tuple[Path, ...] = ()) -> None:
        self._values, self.text, self.paths = dict(values), text, paths

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Record({self._values!r})"
