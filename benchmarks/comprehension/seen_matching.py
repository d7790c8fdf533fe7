"""Matched pairs of seen clips: the impossible one's raw change of pixels is no larger than what happens anyway.

A cup that vanishes changes many pixels at once, and so does an arm that swings. A pair is matched where the largest change
from one picture to the next is the same in both of its clips, but for a few per cent, and no larger than in 95 % of
ordinary clips. Mostly it is exactly the same, because the robot changes more pixels at another moment of the clip than
the violation does. Of the other pairs as many have the larger change in the impossible clip as in the possible one. So a
detector that looks at the change of pixels is right in 50 % by construction.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.comprehension.seen_pairs import (
    AFTER,
    BEFORE,
    LEAD,
    RepeatedEpisode,
    SeenClip,
    SeenEpisode,
    SeenPair,
    by_episode,
    places_of,
)
from benchmarks.comprehension.violations import GRADED
from envs.rendering.pixels import Camera
from envs.safe_env import SafeEnv

STRENGTHS = (1.0, 0.6, 0.51, 0.35, 0.21, 0.15)
"""Strengths that are tried of a graded violation, as shares of the whole one, until one is matched."""
PLACES_PER_PAIR = 3
"""Places that are tried for each pair."""
LARGEST_RATIO = 1.1
"""Of the raw changes of the two clips of a pair, either way."""
ORDINARY = 0.95
"""Share of the ordinary clips whose raw change the impossible one's may reach."""
NOTICED, LEAST_PIXELS = 32, 12
"""A violation is seen where, in one picture at least, so many pixels differ from the possible clip's by more grey levels
than `NOTICED`."""


def raw_change(clip: SeenClip) -> float:
    """The largest change from one picture to the next in the scored part of a clip, in grey levels."""
    return float(clip.changes()[LEAD:].max())


def visible_pixels(pair: SeenPair) -> int:
    """How many pixels of the impossible clip differ visibly from the possible one, in the picture with most of them."""
    length = min(len(pair.real.pictures), len(pair.edited.pictures))
    one, other = (clip.pictures[:length].astype(np.int16) for clip in (pair.real, pair.edited))
    return int((np.abs(one - other).max(1) > NOTICED).sum((1, 2)).max())


def ordinary_change(episodes: Sequence[SeenEpisode]) -> float:
    """The raw change that `ORDINARY` of the real clips stay below."""
    length = BEFORE + AFTER
    values = [
        float(episode.changes[first : first + length].max())
        for episode in episodes
        for first in range(LEAD, len(episode.changes) - length + 1, length)
    ]
    return float(np.quantile(values, ORDINARY))


@dataclass(frozen=True)
class Matched:
    """A pair, and the raw changes of its clips."""

    pair: SeenPair
    real: float
    edited: float


def matched(pair: SeenPair, largest: float) -> Matched | None:
    """The pair where it is matched: its violation is seen, and the raw changes hardly differ; else None."""
    found = Matched(pair, raw_change(pair.real), raw_change(pair.edited))
    near = found.real / LARGEST_RATIO <= found.edited <= min(found.real * LARGEST_RATIO, largest)
    return found if near and visible_pixels(pair) >= LEAST_PIXELS else None


def matched_seen_pairs(
    env: SafeEnv, camera: Camera, episodes: Sequence[SeenEpisode], kind: str, count: int, largest: float
) -> list[SeenPair]:
    """Pairs of one kind of violation whose two clips have the same raw change of pixels.

    Args:
        env: the environment, which observes its state.
        camera: sees it.
        episodes: real episodes.
        kind: kind of violation.
        count: how many pairs at most; fewer where the violation is conspicuous or unseen at every strength.
        largest: raw change that no impossible clip exceeds, in grey levels.
    """
    places = list(itertools.islice(places_of(episodes, kind), PLACES_PER_PAIR * count))
    found: list[Matched] = []
    for episode, decisions in by_episode(places).values():
        repeated = RepeatedEpisode(env, camera, episode)
        for at in decisions:
            repeated.go_to(at)
            bound = min(largest, LARGEST_RATIO * raw_change(episode.around(at)))
            for strength in STRENGTHS if kind in GRADED else (1.0,):
                pair = repeated.violated(kind, strength, bound)
                if pair is not None and (one := matched(pair, largest)) is not None:
                    found.append(one)
                    break
    return [one.pair for one in even(found, count)]


def gross_seen_pairs(
    env: SafeEnv, camera: Camera, episodes: Sequence[SeenEpisode], kind: str, count: int, seed: int
) -> list[SeenPair]:
    """Pairs of whole violations, however conspicuous, at places that are drawn.

    Args:
        env: the environment, which observes its state.
        camera: sees it.
        episodes: real episodes.
        kind: kind of violation.
        count: how many pairs at most.
        seed: determines the places.
    """
    places = list(places_of(episodes, kind))
    drawn = [places[index] for index in np.random.default_rng(seed).permutation(len(places))[:count]]
    pairs = []
    for episode, decisions in by_episode(drawn).values():
        repeated = RepeatedEpisode(env, camera, episode)
        for at in decisions:
            repeated.go_to(at)
            pair = repeated.violated(kind, 1.0)
            assert pair is not None
            pairs.append(pair)
    return pairs


def even(found: Sequence[Matched], count: int) -> list[Matched]:
    """At most `count` pairs, with as many larger raw changes in impossible clips as smaller ones."""
    equal = [one for one in found if one.edited == one.real]
    above = [one for one in found if one.edited > one.real]
    below = [one for one in found if one.edited < one.real]
    each = min(len(above), len(below), count // 2)
    return above[:each] + below[:each] + equal[: count - 2 * each]
