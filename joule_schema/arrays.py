"""Checks arrays by name against their declared shapes and dtypes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from joule_schema.errors import SchemaError, shown

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class ArraySpec:
    """What an array must be."""

    shape: tuple[int | None, ...]
    """None stands for an axis of any length."""
    dtype: str
    """NumPy's name, such as float32."""
    finite: bool = True
    """Whether every number must be finite."""
    longest: int | None = None
    """Entries on an axis of any length, at most."""


def under(prefix: str, entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """The entries whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in entries.items() if name.startswith(prefix)}


def spec_of(array: np.ndarray, *, finite: bool = True) -> ArraySpec:
    """The specification of an array that is there."""
    return ArraySpec(array.shape, array.dtype.name, finite)


def check_array(value: Any, spec: ArraySpec, where: str) -> None:
    """Checks one array.

    Raises:
        SchemaError: where it has another shape or dtype, or a number that is not finite.
    """
    if not isinstance(value, np.ndarray):
        raise SchemaError(f"{where}: found {shown(value)}, expected an array")
    fits = len(value.shape) == len(spec.shape) and all(
        size == expected or (expected is None and (spec.longest is None or size <= spec.longest))
        for size, expected in zip(value.shape, spec.shape, strict=True)
    )
    if value.dtype.name != spec.dtype or not fits:
        free = "any" if spec.longest is None else f"at most {spec.longest}"
        expected = ", ".join(free if size is None else str(size) for size in spec.shape)
        raise SchemaError(
            f"{where}: found {value.dtype.name} [{', '.join(map(str, value.shape))}], "
            f"expected {spec.dtype} [{expected}]"
        )
    if spec.finite and value.dtype.kind == "f" and not np.isfinite(value).all():
        raise SchemaError(f"{where}: holds a number that is not finite")


def check_arrays(arrays: Mapping[str, Any], specs: Mapping[str, ArraySpec], where: str) -> None:
    """Checks that these are exactly the arrays that are declared.

    Args:
        arrays: by name.
        specs: by name.
        where: what they are called in a message.

    Raises:
        SchemaError: for an array that is missing, one that is not declared, and as `check_array`.
    """
    for name, spec in specs.items():
        if name not in arrays:
            raise SchemaError(f"{where}: has no array {name}")
        check_array(arrays[name], spec, f"{where}: {name}")
    check_names(arrays, specs, where)


def check_adam(arrays: Mapping[str, Any], parameter: ArraySpec, where: str) -> None:
    """Checks what Adam keeps of a parameter: the number of its steps, and the two moments of its gradient.

    Raises:
        SchemaError: as `check_arrays`, and for a negative number of steps or second moment.
    """
    moment = ArraySpec(parameter.shape, parameter.dtype)
    step = ArraySpec((), "float32")
    check_arrays(arrays, {"step": step, "exp_avg": moment, "exp_avg_sq": moment}, where)
    for name in ("step", "exp_avg_sq"):
        if (arrays[name] < 0).any():
            raise SchemaError(f"{where}: {name} is negative")


def check_names(arrays: Iterable[str], known: Iterable[str], where: str) -> None:
    """Checks that no array has an unknown name.

    Raises:
        SchemaError: for the first one in alphabetical order.
    """
    if unknown := sorted(set(arrays) - set(known)):
        raise SchemaError(f"{where}: has an unknown array {shown(unknown[0])}")
