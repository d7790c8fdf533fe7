"""What a command gives back: its JSON values, the files that hold them, and a text for the reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from joule.storage.files import replace_file, why
from joule.storage.json_files import encode_object
from joule_errors import Stopped


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
        return (
            self.text or f"Record({self._values!r})"
        )  # a prompt shows what the command does, and not thousands of numbers


class Unwritten(Stopped):
    """The file of a record could not be written, such as on a full disk. The results are not lost with it.

    Args:
        sentence: for the user.
        record: the results, of which no file was written.
    """

    def __init__(self, sentence: str, record: Record) -> None:
        super().__init__(sentence)
        self.record = record


def written(values: Mapping[str, Any], text: str, path: Path | None) -> Record:
    """A record whose values are written as a JSON file.

    Args:
        values: by name.
        text: for a reader.
        path: the file; None writes none.

    Raises:
        Unwritten: where the file cannot be written; its `record` has the results.
    """
    record = Record(values, text)
    if path is None:
        return record
    try:
        replace_file(path, encode_object(values))
    except OSError as error:
        raise Unwritten(f"{path} cannot be written: {why(error)}", record) from error
    return Record(values, text, (path,))
