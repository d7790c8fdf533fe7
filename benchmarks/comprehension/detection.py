"""How well a watcher tells what broke physics from what did not: pairs, ranks, delays and false alarms.

A score says how surprising a step or a whole clip was; higher is more surprising. A clip's score is that of
its most surprising step. Pairs of a possible and an impossible episode are judged as in IntPhys (Riochet et
al. 2018): relatively, by which of the two surprises more, and absolutely, by the area under the ROC curve.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]


def pairwise_accuracy(real: Floats, edited: Floats) -> float:
    """Share of pairs [pairs] whose edited clip surprises more than its real twin; ties count half.

    NaN without pairs.
    """
    if len(real) != len(edited):
        raise ValueError(f"pairs need as many real clips as edited ones, not {len(real)} and {len(edited)}.")
    return float(np.mean(0.5 * (np.sign(edited - real) + 1.0))) if len(real) else math.nan


def auroc(real: Floats, edited: Floats) -> float:
    """Chance that any edited clip scores above any real one, ties half: the area under the ROC curve.

    From ranks, as the Mann-Whitney U (Hanley and McNeil 1982). NaN where one side is empty.
    """
    if not len(real) or not len(edited):
        return math.nan
    ranks = rankdata(np.concatenate([real, edited]))[len(real) :]
    return float((ranks.sum() - len(edited) * (len(edited) + 1) / 2) / (len(real) * len(edited)))


def latency(scores: Floats, onset: int, threshold: float) -> float:
    """Steps [steps] from the violation to the first score of at least `threshold`; infinite where none is.

    The step that breaks physics is number `onset`; an alarm at its own observation has latency 1. Alarms
    before it do not count, they are false ones.
    """
    alarms = np.flatnonzero(scores[onset:] >= threshold)
    return float(alarms[0] + 1) if len(alarms) else math.inf


def false_alarms_per_thousand(scores: Floats, threshold: float) -> float:
    """Real steps of a thousand whose score reaches the threshold; steps without a score count as calm."""
    return 1000.0 * float(np.mean(scores >= threshold))
