"""Forges JSON, tables and plain bytes: changed bytes, removed and renamed entries, and hostile values."""

from __future__ import annotations

import contextlib
import copy
import json
import random
from collections.abc import Iterator
from typing import Any

Path = tuple[Any, ...]
"""The keys and indices from the root of a JSON value to an entry."""

NUMBERS = (
    0,
    1,
    -1,
    2,
    255,
    2**31 - 1,
    2**31,
    2**32,
    2**53,
    2**63 - 1,
    2**63,
    2**64,
    10**30,
    -(2**63),
    10**400,
)
HOSTILE: tuple[Any, ...] = (
    *NUMBERS, 0.5, -0.5, 1e308, 1.7e308, 10**400, "1", "0.5", float("nan"), float("inf"), float("-inf"), None, True, False,
    "", "x", "x" * 4000, "../../etc/passwd", "/dev/zero", "\0", "\ud800", "segment-00000000.rows", "os:system",
    "human", "\x1b[2J", "[/b]", "=cmd|' /C calc'!A0", "<script>alert(1)</script>", "$\\frac{", "nan", "10" * 30,
    [], [[]], [0] * 500, [None], ["gravity=0.5"], ["mass.nothing=2", "dead=99"], ["latency=100"], {}, {"": {}},
    {"float": "inf"}, {"float": "x"}, {"float": 1}, {"name": "segment-00000000.rows", "rows": 1, "sha256": ""},
    {"bit_generator": "PCG64"}, {"bit_generator": "MT19937", "state": {"key": [0] * 624, "pos": 10**6}},
    {"goal": "/etc/passwd"},
)  # fmt: skip
"""Values that replace an entry."""
NAMES = (
    "step", "reset", "close", "np_random", "_np_random", "unwrapped", "__class__", "__dict__", "__init__", "spec",
    "action_space", "observation_space", "model", "data", "render_mode", "frame_skip", "fullpath", "metadata",
    "x", "v", "goal", "", "a b", "\0", "evil", "mujoco_renderer", "_mjlib", "np", "os", "state", "since", "options",
)  # fmt: skip
"""Names of entries that are added: methods, properties, attributes, and such as nothing has."""
DEPTHS = (60, 900, 5_000, 100_000)
CELLS = (
    "", "0", "-1", "nan", "inf", "-inf", "1e400", "1" * 400, "0x10", "1_000", "1,5", " 7 ", "x", "x" * 3000, "\0",
    "=cmd|' /C calc'!A0", "<b>", "<!-- results:end -->", "[red]", "[/b]", "\x1b[2J", "$x^{", "a\nb", "a\r", '"', "٣",
    "\ud800", "\ufeff", "../../x", "joule", "random", "1e308", "-1e308", "9" * 19, "True", "None", "é" * 500,
)  # fmt: skip
"""Texts that replace a cell of a table."""


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
    changed = value.copy()
    changed[path[0]] = with_change(value[path[0]], path[1:], change)
    return changed


class JsonForger:
    """Makes forged versions of a JSON value.

    Args:
        value: the valid one.
        rng: determines every forgery.
    """

    def __init__(self, value: Any, rng: random.Random) -> None:
        self.value, self.rng, self.paths = value, rng, list(paths_of(value))

    def forged(self) -> Any:
        """The value with one to four changed entries."""
        rng, value = self.rng, self.value
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            path, other = rng.choice(self.paths), rng.choice(self.paths)
            # An earlier change may have removed the entry, or made it a number that no float holds.
            with contextlib.suppress(KeyError, IndexError, TypeError, AttributeError, OverflowError):
                value = with_change(value, path, lambda old, v=value, o=other: self._replacement(old, v, o))
        return value

    def text(self) -> bytes:
        """A forged value as text, some of it nested deeply, or changed in its bytes."""
        rng = self.rng
        text = json.dumps(self.forged()).encode(errors="surrogatepass")
        chance = rng.random()
        if chance < 0.02:
            deep = "[" * (depth := rng.choice(DEPTHS))
            closed = deep + "]" * depth if rng.random() < 0.5 else deep
            inside = rng.random() < 0.5
            return text.replace(b":", b": " + closed.encode() + b", ", 1) if inside else closed.encode()
        return changed_bytes(text, rng) if chance < 0.2 else text

    def _replacement(self, old: Any, value: Any, other: Path) -> Any:
        """What replaces the entry `old` of `value`; `other` is the path of another entry."""
        rng = self.rng
        match rng.randrange(8):
            case 0 if isinstance(old, dict) and old:
                removed = rng.choice(list(old))
                return {key: entry for key, entry in old.items() if key != removed}
            case 1 if isinstance(old, dict) and old:
                renamed, name = rng.choice(list(old)), rng.choice(NAMES)
                return {(name if key == renamed else key): entry for key, entry in old.items()}
            case 2 if isinstance(old, (int, float)) and not isinstance(old, bool):
                return old + rng.choice((1, -1, 8, 1024, 0.5))
            case 3 if isinstance(old, list):
                return rng.choice((old[:-1], old + old[-1:], old[::-1]))
            case 4:
                return copy.deepcopy(entry_at(value, other))
            case 5 if isinstance(old, dict):
                return {**old, rng.choice(NAMES): rng.choice(HOSTILE)}
            case 6 if isinstance(old, str):
                return rng.choice((old[:-1], old * 2, old.upper(), old + "\n"))
        return rng.choice(HOSTILE)


def changed_bytes(data: bytes, rng: random.Random) -> bytes:
    """Bytes of which some are flipped, cut, repeated or replaced."""
    if not data:
        return rng.randbytes(rng.randrange(40))
    changed = bytearray(data)
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


def forged_table(data: bytes, rng: random.Random) -> bytes:
    """A CSV table with hostile cells, other columns, rows in another order, or changed bytes."""
    if rng.random() < 0.25:
        return changed_bytes(data, rng)
    rows = [line.split(",") for line in data.decode().splitlines()]
    for _ in range(rng.choice((1, 1, 2, 5))):
        row = rng.choice(rows)
        column = rng.randrange(len(row))
        match rng.randrange(8):
            case 0:
                rng.shuffle(rows)
            case 1:
                rows.append(list(row))
            case 2:
                for line in rows:
                    del line[column : column + 1]
            case 3:
                row.insert(column, rng.choice(CELLS))
            case 4:
                value = rng.choice(CELLS)
                for line in rows[1:]:
                    line[column : column + 1] = [value]
            case _:
                row[column] = rng.choice(CELLS)
        if not all(rows):
            rows = [line or [""] for line in rows]
    ending = rng.choice(("\n", "\n", "\n", "\r\n", "\r", ""))
    return ending.join(",".join(row) for row in rows).encode(errors="surrogatepass")
