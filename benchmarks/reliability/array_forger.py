"""Forges the arrays of a checkpoint and the rows of a replay log, in files that are well-formed."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from benchmarks.reliability.forger import NAMES, NUMBERS

Arrays = dict[str, np.ndarray]
DTYPES = ("float32", "float64", "float16", "int64", "int8", "uint8", "uint32", "bool")
VALUES = (0.0, -1.0, 1.0, np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, 1e10, 1.7e308, -1.7e308)


def forged_arrays(arrays: Arrays, rng: random.Random) -> Arrays:
    """The arrays, of which one to three are removed, renamed, reshaped, converted, swapped or have other numbers."""
    forged = dict(arrays)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if not forged:
            break
        name, other = rng.choice(list(forged)), rng.choice(list(forged))
        match rng.randrange(8):
            case 0:
                del forged[name]
            case 1:
                forged[renamed(name, rng)] = forged.pop(name)
            case 2:
                forged[renamed(name, rng)] = forged[name].copy()
            case 3:
                forged[name] = forged[other].copy()
            case 4:
                with np.errstate(all="ignore"):
                    forged[name] = forged[name].astype(rng.choice(DTYPES))
            case 5:
                forged[name] = reshaped(forged[name], rng)
            case _:
                forged[name] = with_numbers(forged[name], rng)
    return forged


def renamed(name: str, rng: random.Random) -> str:
    """Another name: a part of it is replaced, removed or repeated."""
    parts = name.split("/")
    index = rng.randrange(len(parts))
    match rng.randrange(4):
        case 0:
            parts[index] = rng.choice((*NAMES, "7", "-1", "99999999999999999999", "²"))
        case 1:
            del parts[index]
        case 2:
            parts.insert(index, parts[index])
        case 3:
            parts.append(rng.choice(NAMES))
    return "/".join(parts).encode(errors="replace").decode() or "x"


def reshaped(array: np.ndarray, rng: random.Random) -> np.ndarray:
    """An array with another shape: an axis more or less, longer, shorter or empty."""
    if not array.ndim:
        return np.repeat(array.reshape(1), rng.choice((0, 1, 3)))
    axis = rng.randrange(array.ndim)
    match rng.randrange(6):
        case 0:
            return array[None]
        case 1:
            return np.asarray(array.take(0, axis)) if array.shape[axis] else array[None]
        case 2:
            return np.concatenate((array, array), axis)
        case 3:
            return array.take(range(max(array.shape[axis] - 1, 0)), axis)
        case 4:
            return array.take([], axis)
    return array.T


def with_numbers(array: np.ndarray, rng: random.Random) -> np.ndarray:
    """An array of which one number, some or all are hostile."""
    changed = array.copy()
    if not changed.size:
        return changed
    flat = changed.reshape(-1)
    count = rng.choice((1, 1, 3, flat.size))
    places = [rng.randrange(flat.size) for _ in range(min(count, 64))] if count < flat.size else slice(None)
    flat[places] = hostile_number(flat.dtype, rng)
    return changed


def hostile_number(dtype: np.dtype[Any], rng: random.Random) -> Any:
    """A number that an array of this dtype can hold."""
    with np.errstate(all="ignore"):
        if dtype.kind == "f":
            return np.float64(rng.choice(VALUES)).astype(dtype)
        if dtype.kind == "b":
            return rng.random() < 0.5
        limits = np.iinfo(dtype)
        return dtype.type(min(max(rng.choice(NUMBERS), limits.min), limits.max))


def forged_rows(rows: np.ndarray, rng: random.Random) -> np.ndarray:
    """The records of a replay log with hostile numbers in a column, in another order, or fewer of them."""
    changed = rows.copy()
    match rng.randrange(4):
        case 0:
            return changed[: rng.randrange(len(changed) + 1)]
        case 1:
            return changed[rng.sample(range(len(changed)), len(changed))]
    name = rng.choice(rows.dtype.names or ())
    changed[name] = with_numbers(np.ascontiguousarray(changed[name]), rng)
    return changed
