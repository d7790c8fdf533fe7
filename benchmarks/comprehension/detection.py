"""How well surprise detects violations of physics: accuracy on pairs, AUROC, latency and false alarms.

A score says how surprising a step or a whole clip is; higher is more surprising. The score of a clip is that of
its most surprising step. Pairs of a possible and an impossible episode are judged as in IntPhys (Riochet et
al. 2018): relatively, by which of the two has the higher score, and absolutely, by the area under the ROC curve.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

Floats = NDArray[np.float64]


def pairwise_accuracy(real: Floats, edited: Floats) -> float:
    """Share of pairs whose edited clip scores above its real one; ties count half. NaN without pairs.

    Args:
        real: [pairs], scores of the real clips.
        edited: [pairs], scores of the edited clips, in the same order.

    Raises:
        ValueError: where the two differ in length.
    """
    if len(real) != len(edited):
        raise ValueError(f"pairs need as many real clips as edited ones, not {len(real)} and {len(edited)}")
    return float(np.mean(0.5 * (np.sign(edited - real) + 1.0))) if len(real) else math.nan


def auroc(real: Floats, edited: Floats) -> float:
    """Area under the ROC curve: P(an edited clip scores above a real one); ties count half.

    It is the Mann-Whitney U divided by the number of pairs (Hanley and McNeil 1982). NaN where one side is empty.

    Args:
        real: [clips], scores of real clips.
        edited: [other clips], scores of edited clips.
    """
    if not len(real) or not len(edited):
        return math.nan
    # The exact method differs only in the p-value, which is not used, and takes long.
    u = mannwhitneyu(edited, real, method="asymptotic").statistic
    return float(u) / (len(real) * len(edited))


def latency(scores: Floats, onset: int, threshold: float) -> float:
    """Steps from a violation to the first alarm; infinite where there is none.

    An alarm at the observation of the violating step itself has latency 1. Alarms before it are false ones, and do
    not count.

    Args:
        scores: [steps].
        onset: index of the step that violates physics.
        threshold: lowest score that is an alarm.
    """
    alarms = np.flatnonzero(scores[onset:] >= threshold)
    return float(alarms[0] + 1) if len(alarms) else math.inf


def false_alarms_per_thousand(scores: Floats, threshold: float) -> float:
    """Of a thousand real steps, how many have a score of at least `threshold`; NaN is no alarm.

    Args:
        scores: [steps], of real episodes.
        threshold: lowest score that is an alarm.
    """
    return 1000.0 * float(np.mean(scores >= threshold))
