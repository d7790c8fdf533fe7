"""CPU time of things that take turns, so that a busy machine disturbs all of them alike; and products counted.

Absolute figures drift with the neighbours of a shared machine by a third and more within a minute. Ratios of
medians over short turns hold.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

Call = Callable[[], object]


def take_turns(calls: Mapping[str, Call], rounds: int, turn: float) -> dict[str, list[float]]:
    """CPU milliseconds a call of each, one figure a round; a turn lasts about `turn` seconds."""
    repeats = {}
    for name, call in calls.items():
        call()  # the first call allocates and picks kernels
        start = time.process_time()
        call()
        repeats[name] = max(1, round(turn / max(time.process_time() - start, 1e-6)))
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


def slope(times: Mapping[float, float]) -> float:
    """Least-squares slope of log time against log size: 0 is flat, 1 is linear."""
    x, y = (np.log(np.array(list(side), float)) for side in (times, times.values()))
    return float(np.polyfit(x, y, 1)[0])


def products_of(call: Call) -> int:
    """Floating-point operations of the matrix products that a call really does, two for each weight and row."""
    with FlopCounterMode(display=False) as counted:
        call()
    return int(counted.get_total_flops())


def product_calls(sizes: tuple[int, ...]) -> dict[str, Call]:
    """Products of 512 x n by n x n in float32 and bfloat16, by names such as `bfloat16 256`."""

    def product(n: int, dtype: torch.dtype) -> Call:
        x, weight = torch.randn(512, n).to(dtype), torch.randn(n, n).to(dtype)
        out = torch.empty(512, n, dtype=dtype)
        return lambda: torch.mm(x, weight, out=out)

    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    return {f"{name} {n}": product(n, dtype) for n in sizes for name, dtype in kinds.items()}


def product_rate(times: Mapping[str, float], kind: str) -> float:
    """The best rate among `product_calls` of that kind, in 1e9 operations a second."""
    sizes = {int(name.split()[1]): ms for name, ms in times.items() if name.startswith(f"{kind} ")}
    return max(2 * 512 * n**2 / ms / 1e6 for n, ms in sizes.items())
