"""Forges the files of a checkpoint and of a run folder: changed bytes, and hostile values in JSON."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Iterator
from typing import Any

from joule.storage.checkpoint import ARRAYS, MANIFEST, META

Path = tuple[Any, ...]
"""The keys and indices from the root of a JSON value to an entry."""

NUMBERS = (0, 1, -1, 2, 255, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, 10**30, -(2**63))
HOSTILE: tuple[Any, ...] = (
    *NUMBERS, 0.5, 1e308, float("nan"), float("inf"), float("-inf"), None, True, False,
    "", "x", "x" * 4000, "../../etc/passwd", "/dev/zero", "\0", "\ud800", "segment-00000000.rows", "os:system",
    [], [[]], [0] * 500, {}, {"": {}}, {"name": "segment-00000000.rows", "rows": 1, "sha256": ""},
)  # fmt: skip
"""Values that replace an entry."""


def paths_of(value: Any, path: Path = ()) -> Iterator[Path]:
    """The path of every entry of a JSON value, its root included; long lists are not entered."""
    yield path
    entries: Any = ()
    if isinstance(value, dict):
        entries = value.items()
    elif isinstance(value, list) and len(value) <= 64:
        entries = enumerate(value)
    for key, entry in entries:
        yield from paths_of(entry, (*path, key))


def entry_at(value: Any, path: Path) -> Any:
    """The entry of a JSON value at a path. Raises LookupError or TypeError where there is none."""
    for key in path:
        value = value[key]
    return value


def with_change(value: Any, path: Path, change: Any) -> Any:
    """A copy of a JSON value whose entry at `path` is replaced by `change(entry)`; the rest is shared."""
    if not path:
        return change(value)
    copy = value.copy()
    copy[path[0]] = with_change(value[path[0]], path[1:], change)
    return copy


class Forger:
    """Makes forged versions of files.

    Args:
        content: the valid files by name.
        seed: determines every forgery.
    """

    def __init__(self, content: dict[str, bytes], seed: int) -> None:
        self.rng = random.Random(seed)
        self.content = content
        length = int.from_bytes(content[ARRAYS][:8], "little")
        self.data = content[ARRAYS][8 + length :]
        """What follows the header of the arrays."""
        self.values = {
            name: json.loads(content[name]) for name in (MANIFEST, META, "run.json", "config.json")
        }
        self.values[ARRAYS] = json.loads(content[ARRAYS][8 : 8 + length])
        self.paths = {name: list(paths_of(value)) for name, value in self.values.items()}

    def forged(self, name: str) -> bytes:
        """A forged version of one file."""
        rng = self.rng
        if name in self.values and rng.random() < 0.6:
            text = self._change_entries(name)
            return len(text).to_bytes(8, "little") + text + self.data if name == ARRAYS else text
        data = self.content[name]
        if name == ARRAYS:
            if rng.random() < 0.2:
                return (rng.choice(NUMBERS) % 2**64).to_bytes(8, "little") + data[8:]
            header = len(data) - len(self.data)
            return self._change_bytes(data[:header]) + data[header:]
        return self._change_bytes(data)

    def _change_entries(self, name: str) -> bytes:
        rng, value = self.rng, self.values[name]
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            path, other = rng.choice(self.paths[name]), rng.choice(self.paths[name])
            # An earlier change may have removed the entry.
            with contextlib.suppress(KeyError, IndexError, TypeError, AttributeError):
                value = with_change(value, path, lambda old, v=value, o=other: self._replacement(old, v, o))
        text = json.dumps(value)
        if rng.random() < 0.02:
            depth = rng.choice((900, 5_000, 100_000))
            inside = rng.random() < 0.5
            text = text.replace(":", f": {'[' * depth}", 1) if inside else "[" * depth + "]" * depth
        return text.encode(errors="surrogatepass")

    def _replacement(self, old: Any, value: Any, other: Path) -> Any:
        """What replaces the entry `old` of `value`; `other` is the path of another entry."""
        rng = self.rng
        match rng.randrange(6):
            case 0 if isinstance(old, dict) and old:
                removed = rng.choice(list(old))
                return {key: entry for key, entry in old.items() if key != removed}
            case 1 if isinstance(old, dict) and old:
                renamed = rng.choice(list(old))
                return {(key + "_" if key == renamed else key): entry for key, entry in old.items()}
            case 2 if isinstance(old, (int, float)) and not isinstance(old, bool):
                return old + rng.choice((1, -1, 8, 1024, 0.5))
            case 3 if isinstance(old, list):
                return rng.choice((old[:-1], old + old[-1:], old[::-1]))
            case 4:
                return entry_at(value, other)
        return rng.choice(HOSTILE)

    def _change_bytes(self, data: bytes) -> bytes:
        rng, changed = self.rng, bytearray(data)
        start, size = rng.randrange(len(data)), rng.randrange(1, 33)
        match rng.randrange(6):
            case 0:
                for _ in range(rng.randrange(1, 9)):
                    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
            case 1:
                del changed[start:]
            case 2:
                del changed[start : start + size]
            case 3:
                changed[start:start] = changed[start : start + size * 8]
            case 4:
                changed[start : start + size] = rng.randbytes(size)
            case 5:
                changed = bytearray(rng.randbytes(rng.randrange(200)))
        return bytes(changed)
