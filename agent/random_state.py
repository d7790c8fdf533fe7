"""Captures and restores the random generators that a whole process shares.

stable-baselines3 and many environments draw from the global generators of torch, numpy and Python. An
evaluation during training, or a second agent in the same process, must not change what they draw.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, TypedDict

import numpy as np
import torch

from agent.one_thread import one_thread
from joule_schema import generators
from joule_schema.arrays import ArraySpec, check_array, check_names
from joule_schema.errors import SchemaError
from joule_schema.values import Length, checked

Captured = tuple[dict[str, np.ndarray], dict[str, Any]]
"""Arrays under flat names, and JSON values."""
_CUDA = re.compile("cuda/[0-9]{1,3}")
"""The name of a GPU's state."""


def capture() -> Captured:
    """The state of every global generator: torch (CPU and, once in use, CUDA), numpy, Python."""
    # The legacy generator is the one that stable-baselines3 draws from.
    name, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
    version, words, gauss_next = random.getstate()
    arrays = {
        "torch": torch.get_rng_state().numpy().copy(),
        "numpy": np.array(keys, np.uint32),
        "python": np.array(words, np.uint32),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        arrays |= {f"cuda/{k}": state.numpy() for k, state in enumerate(torch.cuda.get_rng_state_all())}
    numpy_rest = [name, int(position), int(has_gauss), float(gauss)]
    return arrays, {"numpy": numpy_rest, "python": [version, gauss_next]}


class GeneratorValues(TypedDict):
    """The JSON values of `capture`."""

    numpy: list[Any]
    python: Annotated[list[Any], Length(2, 2)]


def check(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], where: str) -> None:
    """Checks that values from a file are what `capture` returned, on any device.

    Raises:
        SchemaError: for a state that is missing, or that a generator cannot have.
    """
    values = checked(GeneratorValues, dict(meta), where)
    check_names((name for name in arrays if not _CUDA.fullmatch(name)), ("torch", "numpy", "python"), where)
    for name in ("torch", "numpy", "python"):
        if name not in arrays:
            raise SchemaError(f"{where}: has no array {name}")
    generators.check_torch_state(arrays["torch"], f"{where}: torch")
    generators.legacy_state(values["numpy"], arrays["numpy"], f"{where}: numpy")
    version, gauss = values["python"]
    generators.python_state(version, arrays["python"], gauss, f"{where}: python")
    for name, state in arrays.items():
        if _CUDA.fullmatch(name):
            check_array(state, ArraySpec((None,), "uint8", longest=8192), f"{where}: {name}")


def restore(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Restores what `capture` returned; CUDA states on the devices that exist."""
    torch.set_rng_state(torch.from_numpy(np.array(arrays["torch"], np.uint8)))
    name, position, has_gauss, gauss = meta["numpy"]
    np.random.set_state((name, arrays["numpy"], position, has_gauss, gauss))  # noqa: NPY002
    version, gauss_next = meta["python"]
    random.setstate((version, tuple(int(word) for word in arrays["python"]), gauss_next))
    if torch.cuda.is_available():
        for k in range(torch.cuda.device_count()):
            if f"cuda/{k}" in arrays:
                torch.cuda.set_rng_state(torch.from_numpy(np.array(arrays[f"cuda/{k}"], np.uint8)), k)


def streams(device: torch.device) -> dict[str, torch.Tensor]:
    """The states of torch's global generators that a computation on `device` draws from."""
    found = {"torch": torch.get_rng_state()}
    if device.type == "cuda":
        found["cuda"] = torch.cuda.get_rng_state(device)
    return found


def set_streams(found: Mapping[str, torch.Tensor], device: torch.device) -> None:
    """Sets the states that `streams` returned."""
    torch.set_rng_state(found["torch"])
    if "cuda" in found and device.type == "cuda":
        torch.cuda.set_rng_state(found["cuda"], device)


@contextmanager
def preserved() -> Iterator[None]:
    """Restores the global generators at the end of the block.

    Raises:
        InputError: where another thread learns or evaluates, which draws from them; see `one_thread`.
    """
    with one_thread():
        before = capture()
        try:
            yield
        finally:
            restore(*before)
