"""When a goal is reached: named readouts that are near enough to their values at the goal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from agent.cost.readouts import Readouts
from agent.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from agent.interface import EnvSpec


@dataclass(frozen=True)
class Nearness:
    """Tells whether readouts [readouts] are those of a goal.

    Args:
        spec: of the environment.
        within: readout -> greatest distance from its value at the goal, in its unit, above 0. All must be kept.
        given_by: where `within` was given, for errors.

    Raises:
        TaskError: for a readout that the environment does not have.
        ConfigError: for no readout.
    """

    spec: EnvSpec
    within: Mapping[str, float]
    given_by: str = "--goal-within"

    def __post_init__(self) -> None:
        layout = self.layout
        if not self.within:
            names = ", ".join(layout.own_names)
            derived = (name for name in layout.derived if name not in ("qpos", "qvel"))
            example = next(derived, next(iter(layout.names)))
            if layout.sizes.get(example, 1) > 1:  # a distance over several numbers mixes their units
                example += ".0"
            raise ConfigError(
                f"--goal-within: {self.spec.env} does not say when a goal is reached; give a readout and a "
                f"distance, such as {example}=0.1; it has {names}"
            )
        layout.check_names(self.within, self.given_by, self.spec.env)
        # Numbers of NumPy are none of JSON's.
        object.__setattr__(self, "within", {name: float(distance) for name, distance in self.within.items()})

    @cached_property
    def layout(self) -> Readouts:
        """Of the environment's readouts."""
        return Readouts(self.spec.readout_sizes, self.spec.derived_readouts)

    def values(self, readouts: np.ndarray) -> dict[str, Tensor]:
        """The readouts that count, by name, each [size]."""
        import torch

        layout = self.layout
        rows = torch.from_numpy(np.asarray(readouts, np.float32))[None]
        found = {}
        for name in self.within:
            value = layout.value(name, rows)
            assert value is not None, "checked when it was made"
            found[name] = value[0]
        return found

    def excess(self, readouts: np.ndarray, goal: np.ndarray) -> float:
        """The largest distance over what is near enough; at most 1 where the goal is reached.

        Args:
            readouts: [readouts], now.
            goal: [readouts], at the goal.
        """
        return float(self.shares(self.values(readouts), self.values(goal)).max())

    def shares(self, here: Mapping[str, Tensor], there: Mapping[str, Tensor]) -> Tensor:
        """Distances over what is near enough [readouts that count, ...].

        Args:
            here: readouts by name, each [..., size].
            there: those of the goal, likewise.
        """
        import torch

        return torch.stack(
            [
                self.layout.apart(name, here[name], there[name]).norm(dim=-1) / distance
                for name, distance in self.within.items()
            ]
        )
