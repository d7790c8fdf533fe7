"""torch's settings of the process: what an environment sets for itself does not hold for an agent."""

from __future__ import annotations

import torch

from envs.faults.process_state import PROCESS_STATE, Setting


def keep_from_environments() -> None:
    """Has every call of an environment's code leave torch as it was; see `envs.faults.process_state`."""
    for setting in (
        Setting("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype),
        Setting("whether torch computes gradients", torch.is_grad_enabled, torch.set_grad_enabled),
        # Starting threads takes long, and the setting `threads` is the user's: environments get theirs once.
        Setting("the number of torch's threads", torch.get_num_threads, torch.set_num_threads, kept=False),
    ):
        PROCESS_STATE.add(setting)
