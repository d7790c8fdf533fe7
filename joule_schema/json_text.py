"""Reads JSON that may come from another person: of a bounded depth, with every key once."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

DEEPEST = 64
"""Levels of lists and objects. Whatever walks a value by recursion then stays far from Python's own limit."""


def loads(text: str | bytes | bytearray) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: for text that is not JSON, is not UTF-8, is nested deeper than `DEEPEST`, or has a key
            twice; the message is the end of a sentence.
    """
    try:
        value = json.loads(text, object_pairs_hook=unique_keys)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    check_depth(value)
    return value


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, for json's `object_pairs_hook`. Raises ValueError for a key that comes twice: JSON's
    readers keep the last one in silence."""
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise ValueError(f"the key {twice[:60]!r} comes twice")
    return found


def check_depth(value: Any) -> None:
    """Checks how deep lists, tuples and objects are nested.

    Raises:
        ValueError: for more than `DEEPEST` levels.
    """
    level, depth = [value] if isinstance(value, (dict, list, tuple)) else [], 1
    while level:
        if depth > DEEPEST:
            raise ValueError(_TOO_DEEP)
        inner = (
            entry
            for outer in level
            for entry in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(entry, (dict, list, tuple))
        )
        # By identity: Python values may share parts, or hold themselves.
        level = list({id(entry): entry for entry in inner}.values())
        depth += 1


_TOO_DEEP = f"it is nested deeper than {DEEPEST} levels"
