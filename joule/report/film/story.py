"""What a film's strip shows of an episode, decision by decision."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from joule.report.film.canvas import COLOURS

MOST_TERMS = len(COLOURS)
_HISTORY = 400
"""Surprises kept for the curve."""
_DECAY = 0.995
"""Factor per decision by which the scale of the bars falls."""


@dataclass(frozen=True)
class FilmPanel:
    """The values in the strip of one frame."""

    env: str
    agent: str
    decisions: int
    """Decisions so far; 0 after a reset."""
    seconds: float
    """Simulated time of the episode."""
    total_return: float
    surprise: float | None = None
    surprises: Sequence[float] = ()
    """Those of the latest decisions, the newest last."""
    shows_surprise: bool = False
    """Whether the film shows surprise, also where this frame has none."""
    terms: Sequence[str] = ()
    """Names of the energy terms that the film shows, in order, the same for all its frames."""
    energies: Mapping[str, float] = field(default_factory=dict)
    """Values of the terms; a term without a value has no bar."""
    scale: float = 1.0
    """The energy that fills a bar."""
    perturbations: Sequence[str] = ()
    """What is changed in the environment now."""


def fewer(energies: Mapping[str, float]) -> dict[str, float]:
    """At most as many energies as there are colours; the others are added up as `others`."""
    if len(energies) <= MOST_TERMS:
        return dict(energies)
    names = list(energies)
    rest = sum(energies[name] for name in names[MOST_TERMS - 1 :])
    return {name: energies[name] for name in names[: MOST_TERMS - 1]} | {"others": rest}


class Story:
    """The panels of an episode: it sums the reward, keeps the surprises, and smooths the scale of the bars.

    Args:
        env: id of the environment.
        agent: name of the agent.
        seconds_per_decision: simulated time of one decision.
        terms: names of the energy terms; none for a model-free baseline.
        surprise: whether the agent reports surprise.

    Raises:
        ValueError: for more terms than there are colours.
    """

    def __init__(
        self,
        env: str,
        agent: str,
        seconds_per_decision: float,
        *,
        terms: Sequence[str] = (),
        surprise: bool = False,
    ) -> None:
        if len(terms) > MOST_TERMS:
            raise ValueError(f"a film shows at most {MOST_TERMS} energy terms, not {len(terms)}")
        self.env, self.agent, self.seconds_per_decision = env, agent, seconds_per_decision
        self.terms, self.surprise = tuple(terms), surprise
        self.perturbations: tuple[str, ...] = ()
        """What is changed in the environment now; whoever steps it sets it."""
        self.scale = 0.0
        self.restart()

    def restart(self) -> None:
        """Begins a new episode; the scale stays, so that bars of two episodes can be compared."""
        self.decisions, self.total_return = 0, 0.0
        self._surprises: deque[float] = deque(maxlen=_HISTORY)
        self._surprise: float | None = None
        self._energies: dict[str, float] = {}

    def tell(
        self, reward: float, *, surprise: float | None = None, energies: Mapping[str, float] | None = None
    ) -> FilmPanel:
        """Takes in one decision and returns the panel after it.

        Args:
            reward: what the decision earned.
            surprise: of the observation that the decision was made for, where there is one.
            energies: the terms of the plan, by name.

        Raises:
            ValueError: for an energy term that is not one of `terms`.
        """
        energies = dict(energies or {})
        unknown = [name for name in energies if name not in self.terms]
        if unknown:
            shown = ", ".join(self.terms) or "none"
            raise ValueError(f"energy term {unknown[0]} was not announced; the film shows {shown}")
        self.decisions += 1
        self.total_return += reward
        self._surprise, self._energies = surprise, energies
        if surprise is not None:
            self._surprises.append(surprise)
        sizes = [abs(value) for value in energies.values() if math.isfinite(value)]
        if sizes:
            # It rises at once and falls slowly: a bar never overflows, and does not jitter with the scale.
            self.scale = max(max(sizes), self.scale * _DECAY)
        return self.panel()

    def panel(self) -> FilmPanel:
        """The present panel, before the first decision too: for the frame after a reset."""
        return FilmPanel(
            env=self.env,
            agent=self.agent,
            decisions=self.decisions,
            seconds=self.decisions * self.seconds_per_decision,
            total_return=self.total_return,
            surprise=self._surprise,
            surprises=tuple(self._surprises),
            shows_surprise=self.surprise,
            terms=self.terms,
            energies=self._energies,
            scale=self.scale or 1.0,
            perturbations=self.perturbations,
        )
