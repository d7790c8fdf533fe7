"""How well a calibrated detector tells edited clips from real ones, by term and kind of violation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.comprehension.clip_pairs import LEAD, ONSET, Pair
from benchmarks.comprehension.detection import (
    Floats,
    auroc,
    false_alarms_per_thousand,
    latency,
    pairwise_accuracy,
)
from benchmarks.comprehension.mixed_episodes import Episode
from benchmarks.comprehension.surprise_calibration import CalibratedDetector
from benchmarks.comprehension.surprise_detectors import Detector
from benchmarks.comprehension.violations import GROSS

ALARM_RATE = 1.0 / 1500.0
"""Share of real steps that may be an alarm, by calibration; the aim is at most one in a thousand."""
ALARM = -math.log10(ALARM_RATE)
"""Surprise that is an alarm, in decades."""
ALL_GROSS, ALL_MATCHED = "all gross", "all matched"
"""Names of all gross violations together, and of all matched ones."""
MATCHED = "matched "
"""Begins the name of a kind whose pairs are matched; see `benchmarks.comprehension.matched_pairs`."""


@dataclass(frozen=True)
class PairScores:
    """The scores of one detector on pairs, by term: [pairs] each."""

    real: dict[str, Floats]
    """Largest surprise of the real clip."""
    edited: dict[str, Floats]
    """Largest surprise of the edited clip."""
    latency: dict[str, Floats]
    """Steps from the violation to the alarm."""


def score_pairs(detector: CalibratedDetector, pairs: Sequence[Pair]) -> PairScores:
    """The scores of a detector on pairs."""
    real: dict[str, list[float]] = {}
    edited: dict[str, list[float]] = {}
    latencies: dict[str, list[float]] = {}
    for pair in pairs:
        in_real, in_edited = detector.surprise(pair.real), detector.surprise(pair.edited)
        for term in in_real:
            real.setdefault(term, []).append(float(in_real[term][LEAD:].max()))
            edited.setdefault(term, []).append(float(in_edited[term][LEAD:].max()))
            latencies.setdefault(term, []).append(latency(in_edited[term], ONSET, ALARM))
    sides = (real, edited, latencies)
    return PairScores(*({term: np.array(values) for term, values in side.items()} for side in sides))


def joined(parts: Sequence[PairScores], terms: Sequence[str]) -> PairScores:
    """The scores of several kinds as one."""

    def join(sides: list[dict[str, Floats]]) -> dict[str, Floats]:
        return {term: np.concatenate([side[term] for side in sides]) for term in terms}

    return PairScores(
        join([p.real for p in parts]), join([p.edited for p in parts]), join([p.latency for p in parts])
    )


def rows_of(
    detector: Detector,
    calibration: Sequence[Episode],
    test: Sequence[Episode],
    pairs: Mapping[str, Sequence[Pair]],
    matched: Mapping[str, Sequence[Pair]] | None = None,
) -> list[dict[str, Any]]:
    """The rows of one detector: one for each term and kind of violation, and for all kinds of a set together.

    Args:
        detector: the detector.
        calibration: real episodes that it is calibrated on.
        test: real episodes on which false alarms are counted.
        pairs: kind of violation -> pairs.
        matched: kind of violation -> matched pairs; default none.
    """
    calibrated = CalibratedDetector(detector, [episode.clip for episode in calibration])
    on_real: dict[str, list[Floats]] = {}
    for episode in test:
        for term, surprise in calibrated.surprise(episode.clip).items():
            on_real.setdefault(term, []).append(surprise)
    scores = {kind: score_pairs(calibrated, found) for kind, found in pairs.items() if found}
    gross = [scores[kind] for kind in GROSS if kind in scores]
    quiet = {
        MATCHED + kind: score_pairs(calibrated, found) for kind, found in (matched or {}).items() if found
    }
    scores |= {
        name: joined(parts, list(on_real))
        for name, parts in ((ALL_GROSS, gross), (ALL_MATCHED, list(quiet.values())))
        if parts
    } | quiet
    rows = []
    for term, kind in itertools.product(on_real, scores):
        found, surprises = scores[kind], np.concatenate(on_real[term])
        real, edited, latencies = found.real[term], found.edited[term], found.latency[term]
        rows.append(
            {
                "detector": detector.name,
                "term": term,
                "violation": kind,
                "pairs": len(real),
                "pairwise_accuracy": f"{pairwise_accuracy(real, edited):.4f}",
                "auroc": f"{auroc(real, edited):.4f}",
                "latency_median": f"{np.median(latencies):g}",
                "detected": f"{np.isfinite(latencies).mean():.4f}",
                "false_alarms_per_1000": f"{false_alarms_per_thousand(surprises, ALARM):.3f}",
                "real_steps": len(surprises),
                "calibration_steps": sum(len(episode.clip.action) for episode in calibration),
            }
        )
    return rows
