"""The planners of stable-worldmodel on Joule's energy: the same candidates on the same model, for time alone.

stable-worldmodel is installed for the comparison only: `pip install stable-worldmodel opencv-python-headless`
(its package imports OpenCV).
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor

from planners import EnergyFn

KINDS = ("cem", "mppi")
"""What both libraries have."""


def installed() -> bool:
    return importlib.util.find_spec("stable_worldmodel") is not None


class Cost:
    """An energy under the name that stable-worldmodel's solvers call.

    Their candidates [batch, samples, horizon, act] are not bounded: the box is Joule's own to keep, so they
    are clamped to it here, as any use in a body would have to.
    """

    def __init__(self, energy: EnergyFn):
        self.energy = energy

    def get_cost(self, info_dict: dict[str, Any], action_candidates: Tensor) -> Tensor:
        return self.energy(action_candidates.clamp(-1.0, 1.0))

    criterion = get_cost


def make(
    kind: str, energy: EnergyFn, act: int, *, horizon: int, samples: int, iterations: int, elites: int
) -> Callable[[], Any]:
    """A call that plans once with stable-worldmodel's solver of that kind, without what it prints."""
    from stable_worldmodel.policy import PlanConfig
    from stable_worldmodel.solver import CEMSolver, MPPISolver

    solver: Any = {"cem": CEMSolver, "mppi": MPPISolver}[kind](
        model=Cost(energy), num_samples=samples, n_steps=iterations, topk=elites
    )
    solver.configure(
        action_space=Box(-1.0, 1.0, (1, act), np.float32),
        n_envs=1,
        config=PlanConfig(horizon=horizon, receding_horizon=1),
    )
    now = {"now": torch.zeros(1, 1)}

    def plan() -> Any:
        with contextlib.redirect_stdout(io.StringIO()):
            return solver.solve(now)["actions"]

    return plan
