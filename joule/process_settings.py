"""Settings of the process that an agent and a command rely on, whatever an environment does to them."""

from __future__ import annotations

import signal
import threading
from typing import Any

import torch

from envs.faults.process_state import PROCESS_STATE, Setting

HANDLED = tuple(
    signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if name in signal.Signals.__members__
)
"""Signals whose handlers stay: they end a run after a checkpoint."""


def keep_from_environments() -> None:
    """Has every call of an environment's code leave these settings; see `envs.faults.process_state`."""
    for setting in (
        Setting("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype),
        Setting("whether torch computes gradients", torch.is_grad_enabled, torch.set_grad_enabled),
        # Starting threads takes long, and the setting `threads` is the user's: environments get theirs once.
        Setting("the number of torch's threads", torch.get_num_threads, torch.set_num_threads, kept=False),
        Setting(
            "the precision of torch's matrix products",
            torch.get_float32_matmul_precision,
            torch.set_float32_matmul_precision,
            slow=True,
        ),
        Setting(
            "torch's deterministic algorithms",
            torch.are_deterministic_algorithms_enabled,
            torch.use_deterministic_algorithms,
            slow=True,
        ),
        Setting("torch's default device", torch.get_default_device, _set_device, slow=True),
        Setting("the handlers of signals", _handlers, _set_handlers, kept=False, slow=True),
    ):
        PROCESS_STATE.add(setting)


def _set_device(device: torch.device) -> None:
    # Torch itself has none; a device that is set, the CPU too, slows every call down.
    torch.set_default_device(None if device == torch.device("cpu") else device)


def _handlers() -> list[Any]:
    """A handler that is not Python's is None, and cannot be set again."""
    return [signal.getsignal(number) for number in HANDLED]


def _set_handlers(handlers: list[Any]) -> None:
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread can
    for number, handler in zip(HANDLED, handlers, strict=True):
        if handler is not None:
            signal.signal(number, handler)
