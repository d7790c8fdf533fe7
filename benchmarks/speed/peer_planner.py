"""The planners of stable-worldmodel on the energy of an agent, so that their time can be compared.

stable-worldmodel is installed for this comparison only: `pip install stable-worldmodel opencv-python-headless`
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
"""Planners that both libraries have."""


def installed() -> bool:
    """Whether stable-worldmodel is installed."""
    return importlib.util.find_spec("stable_worldmodel") is not None


class EnergyCost:
    """An energy under the method names that stable-worldmodel's solvers call.

    Their candidates [batch, samples, horizon, act] are not bounded. They are clamped to the action box here, as
    any use in an environment requires.
    """

    def __init__(self, energy: EnergyFn) -> None:
        self.energy = energy

    def get_cost(self, info_dict: dict[str, Any], action_candidates: Tensor) -> Tensor:
        """Energies [batch, samples] of candidates [batch, samples, horizon, act]."""
        return self.energy(action_candidates.clamp(-1.0, 1.0))

    criterion = get_cost


def make(
    kind: str, energy: EnergyFn, act: int, *, horizon: int, samples: int, iterations: int, elites: int
) -> Callable[[], Any]:
    """A call that plans once with a solver of stable-worldmodel; its output is dropped.

    Args:
        kind: one of KINDS.
        energy: the energy of candidates.
        act: size of an action.
        horizon: decisions planned ahead.
        samples: candidates of an iteration.
        iterations: iterations of the solver.
        elites: candidates that the next distribution is fitted to.
    """
    from stable_worldmodel.policy import PlanConfig
    from stable_worldmodel.solver import CEMSolver, MPPISolver

    solver: Any = {"cem": CEMSolver, "mppi": MPPISolver}[kind](
        model=EnergyCost(energy), num_samples=samples, n_steps=iterations, topk=elites
    )
    solver.configure(
        action_space=Box(-1.0, 1.0, (1, act), np.float32),
        n_envs=1,
        config=PlanConfig(horizon=horizon, receding_horizon=1),
    )
    observation = {"now": torch.zeros(1, 1)}

    def plan() -> Any:
        with contextlib.redirect_stdout(io.StringIO()):
            return solver.solve(observation)["actions"]

    return plan
