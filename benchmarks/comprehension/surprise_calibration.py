"""Calibrated surprise: how rare the errors of a detector are on real episodes, in decades.

Surprise is -log10 of the share of real steps that have errors as large. So signals of any unit can be combined, and
the threshold of an alarm follows from the rate of false alarms that is accepted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from benchmarks.comprehension.surprise_detectors import Clip, Detector, Floats, Signals

RECENT = 2
"""Beside the last error alone, the mean of so many is judged: a constant force adds up, noise does not."""
FOLDS = 4
"""Spreads are fitted on all but one of so many parts of the episodes, and tails on that one."""
CONTEXT_WEIGHT = 100.0
"""Weight of the ridge penalty in the regression that predicts the size of an error."""
LARGEST_TERMS = 2
"""The surprise of all terms is the sum of so many of the largest: a single term may be wrong by itself."""
ALL_TERMS = "all terms"
TINY = 1e-9
"""Added where a value must be positive."""
View = tuple[str, int]
"""A term, and the number of steps over which its errors are averaged."""


def averaged(errors: Floats, steps: int) -> Floats:
    """Mean of each row and the `steps` - 1 rows before it; NaN where there are fewer."""
    out = np.full_like(errors, np.nan)
    out[steps - 1 :] = sum(errors[steps - 1 - k : len(errors) - k] for k in range(steps)) / steps
    return out


class Spread:
    """The squared Mahalanobis distance of an error from the mean error, relative to its usual size.

    With a context, the distance is divided by the one that a ridge regression of its logarithm predicts.

    Args:
        errors: [steps, dims], of real episodes; rows with NaN are left out.
        context: [steps, features], or None.
    """

    RIDGE = 1e-2
    """Share of the identity in the correlation matrix."""
    LARGEST_CONTEXT = 4.0
    """Deviations at which a context is clipped: an unknown context must not explain every error."""

    def __init__(self, errors: Floats, context: Floats | None) -> None:
        known = np.isfinite(errors).all(1)
        errors = errors[known]
        self.mean, std = errors.mean(0), errors.std(0) + TINY
        correlation = torch.from_numpy((errors - self.mean) / std).T.cov(correction=1).view(len(std), -1)
        correlation = (1 - self.RIDGE) * correlation + self.RIDGE * torch.eye(len(std)).double()
        inverse_root = torch.linalg.inv(torch.linalg.cholesky(correlation)).T
        self.whiten = inverse_root / torch.from_numpy(std)[:, None]
        self.shift = None
        if context is not None:
            context = context[known]
            self.shift, self.scale = context.mean(0), context.std(0) + 1e-6
            rows = torch.from_numpy((context - self.shift) / self.scale)
            logs = torch.from_numpy(np.log(self._distance(errors) + 1e-12))
            self.mean_log = logs.mean().item()
            gram = rows.T @ rows + CONTEXT_WEIGHT * torch.eye(rows.shape[1]).double()
            self.weights = torch.linalg.solve(gram, rows.T @ (logs - self.mean_log))

    def _distance(self, errors: Floats) -> Floats:
        return np.asarray((torch.from_numpy(errors - self.mean) @ self.whiten).square().mean(1).numpy())

    def expected(self, context: Floats) -> Floats:
        """Logarithm of the expected distance [steps]; 0 without a context."""
        if self.shift is None:
            return np.zeros(len(context))
        scaled = (context - self.shift) / self.scale
        rows = np.clip(scaled, -self.LARGEST_CONTEXT, self.LARGEST_CONTEXT)
        return np.asarray(self.mean_log + (torch.from_numpy(rows) @ self.weights).numpy())

    def __call__(self, errors: Floats, context: Floats) -> tuple[Floats, Floats]:
        """The distance over the expected one [steps], and the logarithm of the expected one [steps]."""
        expected = self.expected(context)
        return np.asarray(self._distance(errors) / np.exp(expected)), expected


class Tail:
    """The rarity of a value in decades: -log10 P(as large or larger), by the values it is calibrated on.

    It is counted for values below the largest fiftieth. Beyond, it follows a power law with Hill's exponent (Hill
    1975), so that larger values than any before have a rarity too.

    Args:
        values: [steps], positive; values that are not finite are left out.
    """

    SHARE = 0.02
    """Share of the values that the power law is fitted to."""

    def __init__(self, values: Floats) -> None:
        self.values = np.sort(values[np.isfinite(values)])
        self.start = np.quantile(self.values, 1 - self.SHARE)
        beyond = self.values[self.values > self.start]
        self.share = max(len(beyond), 1) / len(self.values)
        # Where the largest values are all equal, nothing is known of larger ones: a heavy tail.
        self.exponent = 1.0 / max(float(np.log(beyond / self.start).mean()), 1e-6) if len(beyond) else 1.0

    def __call__(self, values: Floats) -> Floats:
        """Rarities [steps]; 0 where a value is not finite."""
        rank = np.searchsorted(self.values, values, side="left")
        counted = -np.log10(1.0 - rank / (len(self.values) + 1))
        with np.errstate(invalid="ignore", divide="ignore"):
            extrapolated = -np.log10(self.share) + self.exponent * np.log10(values / self.start)
        rarity = np.where(values > self.start, extrapolated, counted)
        return np.where(np.isfinite(values), rarity, 0.0)


class ConditionalTails:
    """The rarity of a value among the steps for which a similar size was expected: a `Tail` for each group.

    Without contacts errors are small and alike, and a slightly larger one is rare. In collisions a regression may
    predict the mean, and the tail is still long. With one tail for both, the errors of collisions would make all
    others look usual. Rarity within groups is Mondrian conformal prediction (Vovk et al. 2003).

    Args:
        values: [steps]; values that are not finite are left out.
        expected: [steps], the expected sizes.
    """

    GROUPS = 8

    def __init__(self, values: Floats, expected: Floats) -> None:
        known = np.isfinite(values)
        values, expected = values[known], expected[known]
        groups = self.GROUPS if np.ptp(expected) > 0.0 else 1
        # Where many steps are expected to be alike, as those of a robot at rest, groups coincide.
        self.edges = np.unique(np.quantile(expected, np.linspace(0, 1, groups + 1)[1:-1]))
        group = np.searchsorted(self.edges, expected, side="right")
        members = [values[group == g] for g in range(len(self.edges) + 1)]
        self.tails = [Tail(own if len(own) else values) for own in members]

    def __call__(self, values: Floats, expected: Floats) -> Floats:
        """Rarities [steps]."""
        group = np.searchsorted(self.edges, expected, side="right")
        rarity = np.zeros(len(values))
        for g, tail in enumerate(self.tails):
            rarity[group == g] = tail(values[group == g])
        return rarity


class CalibratedDetector:
    """A detector whose errors are expressed as surprise, in decades.

    The surprise of a term is the larger of two rarities: that of its last error, and that of the mean of its last
    two. The surprise of all terms is the sum of the `LARGEST_TERMS` largest. Both are calibrated again, so that a
    decade means the same everywhere. Spreads are fitted on three quarters of the episodes and tails on the rest, in
    turn.

    Args:
        detector: gives the errors.
        episodes: real episodes.
    """

    def __init__(self, detector: Detector, episodes: Sequence[Clip]) -> None:
        self.detector = detector
        signals = [detector.signals(clip) for clip in episodes]
        terms = list(signals[0].errors)
        self.views: list[View] = [(term, steps) for term in terms for steps in (1, RECENT)]
        self.spreads = {view: self._spread(signals, view) for view in self.views}
        measured = self._measure_held_out(signals)
        self.tails = {view: ConditionalTails(*pair) for view, pair in measured.items()}
        rarities = {view: self.tails[view](*pair) for view, pair in measured.items()}
        self.terms = {term: Tail(_of_term(rarities, term)) for term in terms}
        surprises = np.stack([tail(_of_term(rarities, term)) for term, tail in self.terms.items()])
        self.all_terms = Tail(_of_all_terms(surprises))

    def surprise(self, clip: Clip) -> dict[str, Floats]:
        """Term -> surprise [steps] in decades; `ALL_TERMS` is that of all terms."""
        signals = self.detector.signals(clip)
        rarities = {
            view: self.tails[view](*_measure(signals, view, self.spreads[view])) for view in self.views
        }
        found = {term: tail(_of_term(rarities, term)) for term, tail in self.terms.items()}
        return {**found, ALL_TERMS: self.all_terms(_of_all_terms(np.stack(list(found.values()))))}

    def _spread(self, signals: Sequence[Signals], view: View) -> Spread:
        term, steps = view
        errors = np.concatenate([averaged(part.errors[term], steps) for part in signals])
        absolute = term in self.detector.absolute
        return Spread(errors, None if absolute else np.concatenate([part.context for part in signals]))

    def _measure_held_out(self, signals: Sequence[Signals]) -> dict[View, tuple[Floats, Floats]]:
        """`_measure` of every episode, with spreads that were fitted on other episodes."""
        parts: dict[View, list[tuple[Floats, Floats]]] = {view: [] for view in self.views}
        for fold in range(FOLDS):
            others = [part for i, part in enumerate(signals) if i % FOLDS != fold]
            for view in self.views:
                spread = self._spread(others, view)
                for i in range(fold, len(signals), FOLDS):
                    parts[view].append(_measure(signals[i], view, spread))
        joined = {}
        for view, pairs in parts.items():
            values, expected = (np.concatenate(side) for side in zip(*pairs, strict=True))
            joined[view] = (values, expected)
        return joined


def _measure(signals: Signals, view: View, spread: Spread) -> tuple[Floats, Floats]:
    """The distances of a view over the expected ones, and the logarithm of these."""
    term, steps = view
    return spread(averaged(signals.errors[term], steps), signals.context)


def _of_term(rarities: dict[View, Floats], term: str) -> Floats:
    return np.asarray(np.maximum(rarities[term, 1], rarities[term, RECENT]) + TINY)


def _of_all_terms(surprises: Floats) -> Floats:
    """The sum of the largest surprises of terms [terms, steps] at each step."""
    return np.asarray(np.sort(surprises, 0)[-LARGEST_TERMS:].sum(0) + TINY)
