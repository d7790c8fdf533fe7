"""Matched pairs: violations whose raw change is no larger than what happens anyway in ordinary transitions.

A teleported robot is conspicuous without any knowledge of physics: its observation jumps. These pairs are of
violations that are not. The raw change of a clip is how rare its observations are by themselves, on the scale of
calibrated surprise: how far from usual they are, how much they change, and how far from constant velocity. A violation is
as strong as it can be while the raw changes of the two clips of its pair hardly differ, as often below the real one as
above it, and never beyond 95 % of the ordinary clips. So what has learned nothing of physics is near chance, and what
is above chance knows what should have happened in this state, by this action.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.comprehension.clip_pairs import AFTER, ONSET, Pair, edited_pairs, edits_of
from benchmarks.comprehension.mixed_episodes import Episode
from benchmarks.comprehension.surprise_calibration import ALL_TERMS, CalibratedDetector
from benchmarks.comprehension.surprise_detectors import Clip, ConstantVelocityDetector, Floats, Signals
from benchmarks.comprehension.violations import GRADED, MEANINGS
from envs.safe_env import SafeEnv

STRENGTHS = (1.0, 0.6, 0.35, 0.2, 0.12, 0.07)
"""Strengths that are tried of a graded violation, as shares of the whole one."""
PLACES_PER_PAIR = 2
"""Places that are tried for each pair of a graded violation; of any other one, as many times more as it has strengths less."""
LEAST_EFFECT = 0.5
"""Least difference of an edited clip from its real one, in deviations of an ordinary change of the observation."""
LARGEST_DIFFERENCE = 0.25
"""Of the raw changes of the two clips of a pair (decades)."""
ORDINARY = 0.95
"""Share of the ordinary clips whose raw change the edited one's may reach."""


class RawChangeDetector:
    """How unusual observations are by themselves; it predicts nothing but that they go on as they did.

    Terms: `state` is the observation, `change` its change, `observation` and `window` those of constant velocity.
    """

    name, absolute = "raw change", frozenset({"state", "change"})

    def __init__(self) -> None:
        self._velocity = ConstantVelocityDetector(self.name, scaled=True)

    def signals(self, clip: Clip) -> Signals:
        """See `Detector.signals`."""
        found, obs = self._velocity.signals(clip), clip.obs.astype(np.float64)
        return Signals({"state": obs[1:], "change": np.diff(obs, axis=0), **found.errors}, found.context)


class RawChange:
    """The raw change of clips, after their violation.

    Args:
        episodes: real episodes, by which it is calibrated.
    """

    def __init__(self, episodes: Sequence[Episode]) -> None:
        clips = [episode.clip for episode in episodes]
        self.detector = CalibratedDetector(RawChangeDetector(), clips)
        changes = np.concatenate([np.diff(clip.obs.astype(np.float64), axis=0) for clip in clips])
        self.deviation: Floats = changes.std(0) + 1e-6

    def of(self, clip: Clip) -> float:
        """The largest raw change from the violation on, in decades."""
        return float(self.detector.surprise(clip)[ALL_TERMS][ONSET:].max())

    def quantile(self, episodes: Sequence[Episode], share: float) -> float:
        """The raw change that a share of the real clips stays below."""
        values = [
            self.detector.surprise(episode.clip)[ALL_TERMS][first : first + AFTER].max()
            for episode in episodes
            for first in range(ONSET, len(episode.clip.action) - AFTER + 1, AFTER)
        ]
        return float(np.quantile(values, share)) if values else 0.0

    def effect(self, pair: Pair) -> float:
        """The largest difference of the edited clip from the real one, in deviations of an ordinary change."""
        steps = min(len(pair.edited.obs), len(pair.real.obs))
        difference = (pair.edited.obs[:steps] - pair.real.obs[:steps]) / self.deviation
        return float(np.sqrt(np.square(difference).mean(1)).max())


@dataclass(frozen=True)
class Candidate:
    """A pair, and the raw changes of its clips."""

    pair: Pair
    real: float
    edited: float
    effect: float
    """See `RawChange.effect`."""


def matched_pairs(
    env: SafeEnv, episodes: Sequence[Episode], kind: str, count: int, seed: int, raw: RawChange
) -> list[Pair]:
    """Pairs of one kind of violation whose two clips have nearly equal raw changes.

    Args:
        env: the environment.
        episodes: real episodes.
        kind: kind of violation.
        count: how many pairs at most; fewer where the violation is conspicuous at every strength.
        seed: determines the places.
        raw: measures the raw change.
    """
    rng = np.random.default_rng([seed, list(MEANINGS).index(kind), 1])
    strengths = STRENGTHS if kind in GRADED else (1.0,)
    places = PLACES_PER_PAIR * count * len(STRENGTHS) // len(strengths)
    edits = [
        replace(edit, strength=strength)
        for edit in edits_of(episodes, kind, places, rng)
        for strength in strengths
    ]
    visible = [
        (pair, effect) for pair in edited_pairs(env, edits) if (effect := raw.effect(pair)) >= LEAST_EFFECT
    ]
    real = {(pair.episode.seed, pair.at): pair.real for pair, _ in visible}
    before = {place: raw.of(clip) for place, clip in real.items()}
    by_place: dict[tuple[int, int], list[Candidate]] = {place: [] for place in real}
    for pair, effect in visible:
        place = pair.episode.seed, pair.at
        by_place[place].append(Candidate(pair, before[place], raw.of(pair.edited), effect))
    largest = raw.quantile(episodes, ORDINARY)
    return [candidate.pair for candidate in balanced(list(by_place.values()), count, largest)]


def balanced(places: Sequence[Sequence[Candidate]], count: int, largest: float) -> list[Candidate]:
    """The strongest candidate of each place that is not conspicuous, as many above their real clips as below.

    Args:
        places: the candidates of each place.
        count: how many at most.
        largest: the largest raw change allowed.
    """
    above: list[Candidate] = []
    below: list[Candidate] = []
    for candidates in places:
        allowed = [
            c for c in candidates if abs(c.edited - c.real) <= LARGEST_DIFFERENCE and c.edited <= largest
        ]
        sides = [[c for c in allowed if (c.edited > c.real) is higher] for higher in (False, True)]
        # A place that offers both goes to the side that has fewer.
        order = sorted(range(2), key=lambda side: (not sides[side], len((below, above)[side])))
        if sides[order[0]]:
            (below, above)[order[0]].append(max(sides[order[0]], key=lambda c: c.effect))
    each = min(len(below), len(above), count // 2)
    return below[:each] + above[:each]
