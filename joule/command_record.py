"""What a command gives back: its JSON values, the files that hold them, and a text for the reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agent.errors import ConfigError
from joule.storage.files import replace_file, why
from joule.storage.json_files import encode_object


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


def written(values: Mapping[str, Any], text: str, path: Path | None) -> Record:
    """A record whose values are written as a JSON file.

    Args:
        values: by name.
        text: for a reader.
        path: the file; None writes none.

    Raises:
        ConfigError: where the file cannot be written.
    """
    if path is None:
        return Record(values, text)
    try:
        replace_file(path, encode_object(values))
    except OSError as error:
        raise ConfigError(f"--out: {path} cannot be written: {why(error)}") from error
    return Record(values, text, (path,))
