"""Checks a JSON value against a type: the type is declared once, for the reader, for mypy and for this check.

A type is built of `bool`, `int`, `float`, `str`, `None`, `Any`, `Literal`, unions, `list[...]`, `dict[str, ...]`
and TypedDict classes. `Annotated` adds a range of a number (`Within`), a number of entries or characters
(`Length`), a pattern of a text (`Pattern`), or permits numbers that are not finite (`ANY_FLOAT`). A TypedDict has
exactly its keys.

    class Surprise(TypedDict):
        usual: Annotated[float, Within(0, math.inf)]
        count: Count

    checked(Surprise, json.loads(text), "surprise")
"""

from __future__ import annotations

import functools
import math
import re
import sys
import types
import typing
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from joule_errors.words import range_text
from joule_schema.errors import SchemaError, shown

T = TypeVar("T")


@dataclass(frozen=True)
class Within:
    """The range of a number, both ends included."""

    low: float
    high: float


@dataclass(frozen=True)
class Length:
    """The number of entries of a list or an object, or of characters of a text, both ends included."""

    low: int
    high: int


@dataclass(frozen=True)
class AnyFloat:
    """Permits numbers that are not finite."""


@dataclass(frozen=True)
class Pattern:
    """What a text must match as a whole."""

    regex: str
    meaning: str
    """In words, for a message."""


ANY_FLOAT = AnyFloat()
LARGEST_FLOAT = int(sys.float_info.max)
LARGEST_COUNT = 10**16
"""Of frames, rows, updates and whatever else is counted."""
Count = Annotated[int, Within(0, LARGEST_COUNT)]
"""A number of things, from 0."""
Bit = Annotated[int, Within(0, 1)]
"""0 or 1."""
MOST_METRICS = 1_000
"""Measurements that an agent has by name, at most."""
Name = Annotated[str, Pattern(r"[^\W\d][^\x00-\x1f\x7f-\x9f]{0,199}", "a name of at most 200 characters")]
"""A name of a metric and the like, which becomes a column of a table: it begins with a letter."""


def checked(kind: type[T], value: Any, where: str) -> T:
    """`value`, where it has the type `kind`.

    Args:
        kind: a type as in the description of this module.
        value: JSON values.
        where: what the value is called in the message.

    Raises:
        SchemaError: for another value; the message names the entry, what was found, and what is allowed.
    """
    check(kind, value, where)
    found: T = value
    return found


def check(kind: Any, value: Any, where: str) -> None:
    """As `checked`, for a type that is no class, such as an annotated one."""
    limits: tuple[Any, ...] = ()
    if typing.get_origin(kind) is Annotated:
        kind, *annotations = typing.get_args(kind)
        limits = tuple(annotations)
    if not _has_type(kind, value, limits):
        raise SchemaError(f"{where}: found {shown(value)}, expected {_expected(kind, limits)}")
    for limit in limits:
        if isinstance(limit, Within) and not limit.low <= value <= limit.high:
            raise SchemaError(f"{where}: {shown(value)} is outside {range_text(limit.low, limit.high)}")
        if isinstance(limit, Pattern) and not re.fullmatch(limit.regex, value):
            raise SchemaError(f"{where}: found {shown(value)}, expected {limit.meaning}")
        if isinstance(limit, Length) and not limit.low <= len(value) <= limit.high:
            raise SchemaError(f"{where}: has {len(value)} entries, expected {_expected(kind, limits)}")
    origin = typing.get_origin(kind)
    if origin is list:
        (inner,) = typing.get_args(kind)
        for index, entry in enumerate(value):
            check(inner, entry, f"{where}[{index}]")
    elif origin is dict:
        of_keys, inner = typing.get_args(kind)
        for key, entry in value.items():
            check(of_keys, key, where)
            check(inner, entry, f"{where}.{_name(key)}")
    elif typing.is_typeddict(kind):
        _check_keys(kind, value, where)
    elif origin in (typing.Union, types.UnionType):
        _check_union(kind, value, where)


def _has_type(kind: Any, value: Any, limits: tuple[Any, ...]) -> bool:
    """Whether a value is of the outermost type; entries are checked by the caller."""
    origin = typing.get_origin(kind)
    if kind is Any or origin in (typing.Union, types.UnionType):
        return True
    if origin is Literal:
        return type(value) in {type(one) for one in typing.get_args(kind)} and value in typing.get_args(kind)
    if kind in (None, type(None)):
        return value is None
    if origin is list or origin is dict or typing.is_typeddict(kind):
        return isinstance(value, list if origin is list else dict)
    if kind is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and _is_float(value)
        return number and (ANY_FLOAT in limits or math.isfinite(value))
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return type(value) is kind


def _check_keys(kind: Any, value: dict[str, Any], where: str) -> None:
    entries = _entries(kind)
    for key, inner in entries.items():
        if key in value:
            check(inner, value[key], f"{where}.{key}")
        elif key in kind.__required_keys__:
            raise SchemaError(f"{where}: has no {key}")
    if unknown := [key for key in value if key not in entries]:
        raise SchemaError(f"{where}: has an unknown entry {_name(unknown[0])}")


def _check_union(kind: Any, value: Any, where: str) -> None:
    """Raises for a value of none of the types: as the only type that it could have, or with all of them."""
    options, errors = typing.get_args(kind), []
    for option in options:
        try:
            check(option, value, where)
        except SchemaError as error:
            inner = typing.get_args(option)[0] if typing.get_origin(option) is Annotated else option
            if _has_type(inner, value, (ANY_FLOAT,)):
                errors.append(error)
        else:
            return
    if errors:
        raise errors[0]
    expected = " or ".join(_expected(option, ()) for option in options)
    raise SchemaError(f"{where}: found {shown(value)}, expected {expected}")


@functools.cache
def _entries(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind, include_extras=True)


def _is_float(value: float) -> bool:
    """Whether a number is one of 64 bits; a whole number of JSON has no bound."""
    return not isinstance(value, int) or abs(value) <= LARGEST_FLOAT


def _name(key: str) -> str:
    return key if key.isprintable() and len(key) <= 40 else shown(key)


def _expected(kind: Any, limits: tuple[Any, ...]) -> str:
    """A type in words."""
    if typing.get_origin(kind) is Annotated:
        kind, *annotations = typing.get_args(kind)
        limits = tuple(annotations)
    origin = typing.get_origin(kind)
    length = next((limit for limit in limits if isinstance(limit, Length)), None)
    count = ""
    if length is not None:
        count = f" of {length.low}" + ("" if length.low == length.high else f" to {length.high}")
    if origin is Literal:
        return "one of " + ", ".join(map(str, typing.get_args(kind)))
    if origin is list:
        return f"a list{count}"
    if origin is dict or typing.is_typeddict(kind):
        return f"an object{count}"
    if kind is float:
        return "a number" if ANY_FLOAT in limits else "a finite number"
    words = {int: "a whole number", str: f"text{count}", bool: "true or false", type(None): "nothing"}
    return words.get(kind, "nothing" if kind is None else str(kind))
