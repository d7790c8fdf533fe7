"""CPU time of calls that take turns, and the rate of matrix products.

Absolute figures drift by a third and more within a minute on a shared machine. Calls that take short turns are
disturbed alike, so that ratios of their medians hold.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import linregress
from torch.utils.flop_counter import FlopCounterMode

Call = Callable[[], object]
PRODUCT_ROWS = 512
"""Rows of the matrix that is multiplied by an n x n matrix."""


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    rounds: int
    """Turns of each call; a figure is their median."""
    turn_seconds: float
    decisions: int
    """Training decisions in one turn."""
    sizes: int
    """Sizes in each table of growth, at most."""


FULL, QUICK = Extent(15, 0.05, 20, 5), Extent(3, 0.005, 4, 2)


def take_turns(calls: Mapping[str, Call], rounds: int, turn_seconds: float) -> dict[str, list[float]]:
    """Measures calls in turns.

    Args:
        calls: what is measured, by name.
        rounds: turns of each call.
        turn_seconds: length of a turn, in which a call is repeated; one call takes at least one turn.

    Returns:
        Name -> CPU milliseconds per call, one figure a round.
    """
    repeats = {}
    for name, call in calls.items():
        call()  # the first call allocates memory and picks kernels
        start = time.process_time()
        call()
        repeats[name] = max(1, round(turn_seconds / max(time.process_time() - start, 1e-6)))
    figures: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.process_time()
            for _ in range(repeats[name]):
                call()
            figures[name].append((time.process_time() - start) / repeats[name] * 1e3)
    return figures


def medians(figures: Mapping[str, list[float]]) -> dict[str, float]:
    """The median of every list."""
    return {name: statistics.median(values) for name, values in figures.items()}


def median_ms(calls: Mapping[str, Call], extent: Extent) -> dict[str, float]:
    """Name -> median CPU milliseconds per call."""
    return medians(take_turns(calls, extent.rounds, extent.turn_seconds))


def slope(times: Mapping[float, float]) -> float:
    """Least-squares slope of log time against log size: 0 is constant, 1 is linear."""
    sizes, milliseconds = (np.log(np.array(list(side), float)) for side in (times, times.values()))
    return float(linregress(sizes, milliseconds).slope)


def count_products(call: Call) -> int:
    """Floating-point operations of the matrix products in a call: two for each weight and row."""
    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())


def product_calls(sizes: tuple[int, ...]) -> dict[str, Call]:
    """Products of 512 x n by n x n in float32 and bfloat16, by names such as `bfloat16 256`."""

    def product(n: int, dtype: torch.dtype) -> Call:
        x, weight = torch.randn(PRODUCT_ROWS, n).to(dtype), torch.randn(n, n).to(dtype)
        out = torch.empty(PRODUCT_ROWS, n, dtype=dtype)
        return lambda: torch.mm(x, weight, out=out)

    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    return {f"{name} {n}": product(n, dtype) for n in sizes for name, dtype in kinds.items()}


def product_rate(times: Mapping[str, float], kind: str) -> float:
    """The best rate among the `product_calls` of a kind, in 1e9 operations per second.

    Args:
        times: milliseconds per call by name; other names are ignored.
        kind: "float32" or "bfloat16".
    """
    sizes = {int(name.split()[1]): ms for name, ms in times.items() if name.startswith(f"{kind} ")}
    return max(2 * PRODUCT_ROWS * n**2 / ms / 1e6 for n, ms in sizes.items())
