"""Watchers: who looks at an episode and says, step by step, how surprising it is.

A watcher gives *signals*: errors of predictions made before the observation was seen, as vectors. `Calibrated`
turns them into surprise: it learns from real episodes how large each error is as a rule and how rare larger
ones are, and measures surprise in decades, -log10 of the share of real steps that surprise as much. So signals of
any unit can be combined, and an alarm is set by the rate of false alarms that one is willing to have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from agent.agent import WorldModelAgent
from agent.networks import Networks

Floats = NDArray[np.float64]

WINDOW = 3
"""Steps of the longer prediction: what the world model is trained on."""
RECENT = 2
"""Errors of so many steps are averaged beside the last one alone: a steady force adds up, noise does not."""
FOLDS = 4
CONTEXT_WEIGHT = 100.0
"""Ridge of the regression that says how large an error is to be expected."""
TOGETHER = "all terms"
STATE = frozenset({"qpos", "qvel"})
"""Readouts from which all others of a MuJoCo body follow."""
WITNESSES = 2
"""The surprise of all terms is the sum of so many of the largest: what one alone is off by may be its own fault."""


@dataclass(frozen=True)
class Clip:
    """A stretch of one episode, possible or not."""

    obs: NDArray[np.float32]
    """[steps + 1, obs]"""
    action: NDArray[np.float32]
    """[steps, act]"""
    cost: NDArray[np.float32]
    """[steps]"""
    readout: NDArray[np.float32]
    """[steps + 1, readouts], as an agent's memory has them"""

    def part(self, first: int, last: int) -> Clip:
        """Steps `first` to `last`, without the last."""
        along, over = slice(first, last), slice(first, last + 1)
        return Clip(self.obs[over], self.action[along], self.cost[along], self.readout[over])


@dataclass(frozen=True)
class Signals:
    """What a watcher measured of a clip."""

    errors: dict[str, Floats]
    """Term -> [steps, dims]; rows without the history they need are NaN."""
    context: Floats
    """[steps, features], known before the step: from it the usual size of its errors is estimated."""


class Watcher(Protocol):
    """Anything that watches."""

    name: str
    absolute: frozenset[str]
    """Terms that are not measured against what their context leads one to expect."""

    def signals(self, clip: Clip) -> Signals: ...


class WorldModel:
    """The energies of an agent's world model: the terms of its own loss, each for itself.

    latent: the next latent. window: the latent after three steps, imagined without looking.
    cost: the step's cost. disagreement: deviation between the heads of the ensemble.
    Readouts, by name: by how much a quantity was to change with the step, and by how much it did. They are the
    body's state, positions and velocities, where it names them so; what else is read off a body follows from those,
    and says the same again with an error of its own. Else they are all that there are.

    Readouts and cost are compared by their changes because what a head is off by in one step it is off by in the
    next: a whole episode in an odd corner would else be one long surprise.
    """

    absolute = frozenset({"disagreement"})

    def __init__(self, name: str, modules: Networks, readout_sizes: dict[str, int]) -> None:
        self.name, self.networks, self.readout_sizes = name, modules, readout_sizes

    def signals(self, clip: Clip) -> Signals:
        m, model = self.networks, self.networks.world_model
        with torch.inference_mode():
            obs, action, cost, readout = (
                torch.from_numpy(np.ascontiguousarray(x, np.float32))
                for x in (clip.obs, clip.action, clip.cost, clip.readout)
            )
            steps = len(action)
            z = m.encoder(m.normalizer(obs))
            step = model.predict(z[:-1], action)
            window = torch.full_like(z[1:], float("nan"))
            if steps >= WINDOW:
                ahead = torch.stack([action[k : steps - WINDOW + k + 1] for k in range(WINDOW)], 1)
                window[WINDOW - 1 :] = z[WINDOW:] - model.rollout(z[:-WINDOW], ahead)[-1].z
            deviation = step.disagreement.unsqueeze(1)
            off = ((cost - model.expected_cost(step)) / model.cost_scale).unsqueeze(1)
            # Not through the normaliser, which cuts off what is ten deviations away: a flight would be a hop.
            moved = readout.diff(dim=0) * m.readout_normalizer.scale - (m.readout(step.z) - m.readout(z[:-1]))
            changes = dict(
                zip(self.readout_sizes, moved.split(list(self.readout_sizes.values()), 1), strict=True)
            )
            state = {name: change for name, change in changes.items() if name in STATE}
            errors = {
                "latent": z[1:] - step.z,
                "window": window,
                "cost": torch.cat((torch.full_like(off[:1], float("nan")), off.diff(dim=0))),
                "disagreement": deviation,
                **(state or changes),
            }
            features = model.trunk(torch.cat((z[:-1], action), -1))
            context = torch.cat((features, deviation.clamp_min(1e-6).log(), action, action.square()), -1)
        return Signals({k: e.double().numpy() for k, e in errors.items()}, context.double().numpy())


def untrained(agent: WorldModelAgent) -> WorldModel:
    """The agent's networks as they were before learning, behind the normalisers of the trained one."""
    torch.manual_seed(agent.config.seed)
    readouts = sum(agent.env_spec.readout_sizes.values())
    env_spec, config = agent.env_spec, agent.config
    modules = Networks(env_spec.observation_size, env_spec.action_size, readouts, config.model, config.regularizer)
    for name in ("normalizer", "readout_normalizer"):
        getattr(modules, name).load_state_dict(getattr(agent.modules.networks, name).state_dict())
        getattr(modules, name).refresh()
    modules.world_model.cost_scale.copy_(agent.modules.networks.world_model.cost_scale)
    return WorldModel("untrained world model", modules, env_spec.readout_sizes)


class ConstantVelocity:
    """The baseline that knows no physics but inertia: what is observed goes on changing as it did.

    latent's counterpart is `observation`, one step ahead; `window` extrapolates over three.
    `scaled` says whether errors are measured against what the observation leads one to expect.
    """

    def __init__(self, name: str, *, scaled: bool) -> None:
        self.name = name
        self.absolute = frozenset() if scaled else frozenset({"observation", "window"})

    def signals(self, clip: Clip) -> Signals:
        obs = clip.obs.astype(np.float64)
        one, window = np.full_like(obs[1:], np.nan), np.full_like(obs[1:], np.nan)
        speed = np.diff(obs, axis=0)
        one[1:] = speed[1:] - speed[:-1]
        window[WINDOW:] = obs[WINDOW + 1 :] - obs[1:-WINDOW] - WINDOW * speed[:-WINDOW]
        now, action = obs[:-1], clip.action.astype(np.float64)
        context = np.concatenate([now, np.abs(now), now**2, action, action**2], 1)
        return Signals({"observation": one, "window": window}, context)


def averaged(errors: Floats, steps: int) -> Floats:
    """Mean of each row and the `steps` - 1 before it; NaN where there are not as many."""
    out = np.full_like(errors, np.nan)
    out[steps - 1 :] = sum(errors[steps - 1 - k : len(errors) - k] for k in range(steps)) / steps
    return out


class Spread:
    """Squared distance of an error from its mean, over what it usually is; [steps, dims] to [steps].

    A Mahalanobis distance. With a context, divided by what a ridge regression of its logarithm expects there,
    `expected`.
    """

    RIDGE = 1e-2

    def __init__(self, errors: Floats, context: Floats | None) -> None:
        known = np.isfinite(errors).all(1)
        errors = errors[known]
        self.mean, std = errors.mean(0), errors.std(0) + 1e-9
        # Torch's algebra, because it keeps to the threads that it is given: numpy's library takes all there are.
        correlation = torch.from_numpy((errors - self.mean) / std).T.cov(correction=1).view(len(std), -1)
        correlation = (1 - self.RIDGE) * correlation + self.RIDGE * torch.eye(len(std)).double()
        self.whiten = torch.linalg.inv(torch.linalg.cholesky(correlation)).T / torch.from_numpy(std)[:, None]
        self.shift = None
        if context is not None:
            context = context[known]
            self.shift, self.scale = context.mean(0), context.std(0) + 1e-6
            rows = torch.from_numpy((context - self.shift) / self.scale)
            logs = torch.from_numpy(np.log(self._distance(errors) + 1e-12))
            self.usual = logs.mean().item()
            gram = rows.T @ rows + CONTEXT_WEIGHT * torch.eye(rows.shape[1]).double()
            self.weights = torch.linalg.solve(gram, rows.T @ (logs - self.usual))

    def _distance(self, errors: Floats) -> Floats:
        return np.asarray((torch.from_numpy(errors - self.mean) @ self.whiten).square().mean(1).numpy())

    def expected(self, context: Floats) -> Floats:
        """The logarithm of the distance that is expected of a step; 0 of every step without a context."""
        if self.shift is None:
            return np.zeros(len(context))
        # An unheard-of context must not explain every error away.
        rows = np.clip((context - self.shift) / self.scale, -4.0, 4.0)
        return np.asarray(self.usual + (torch.from_numpy(rows) @ self.weights).numpy())

    def __call__(self, errors: Floats, context: Floats) -> tuple[Floats, Floats]:
        """Each step's distance over the one that was expected of it, and the logarithm of that one."""
        expected = self.expected(context)
        return np.asarray(self._distance(errors) / np.exp(expected)), expected


class Tail:
    """How rare a value is among those calibrated on, in decades: -log10 P(as large or larger).

    Counted, up to the largest fiftieth; beyond it a power law with Hill's exponent (Hill 1975), so that what was
    never seen has a rarity too. Values are positive; what is not a number is not rare.
    """

    SHARE = 0.02

    def __init__(self, values: Floats) -> None:
        self.values = np.sort(values[np.isfinite(values)])
        self.start = np.quantile(self.values, 1 - self.SHARE)
        beyond = self.values[self.values > self.start]
        self.share = len(beyond) / len(self.values)
        self.slope = 1.0 / max(float(np.log(beyond / self.start).mean()), 1e-6)

    def __call__(self, values: Floats) -> Floats:
        count = len(self.values)
        rank = np.searchsorted(self.values, values, side="left")
        decades = -np.log10(1.0 - rank / (count + 1))
        with np.errstate(invalid="ignore", divide="ignore"):
            far = -np.log10(self.share) + self.slope * np.log10(values / self.start)
        return np.where(np.isfinite(values), np.where(values > self.start, far, decades), 0.0)


class TailsByExpectation:
    """How rare a value is among the steps of which as much was expected, a `Tail` for each of GROUPS.

    Where nothing touches, errors are small and alike, and a little more is rare; where things collide, a
    regression may get the mean right and the tail is still long. One tail for both would let the collisions
    excuse everything. Rarity within groups is Mondrian conformal prediction (Vovk et al. 2003).
    """

    GROUPS = 8

    def __init__(self, values: Floats, expected: Floats) -> None:
        known = np.isfinite(values)
        values, expected = values[known], expected[known]
        groups = self.GROUPS if np.ptp(expected) > 0.0 else 1
        self.edges = np.quantile(expected, np.linspace(0, 1, groups + 1)[1:-1])
        group = np.searchsorted(self.edges, expected, side="right")
        self.tails = [Tail(values[group == g]) for g in range(len(self.edges) + 1)]

    def __call__(self, values: Floats, expected: Floats) -> Floats:
        group = np.searchsorted(self.edges, expected, side="right")
        rare = np.zeros(len(values))
        for g, tail in enumerate(self.tails):
            rare[group == g] = tail(values[group == g])
        return rare


class Calibrated:
    """A watcher with what it usually sees: `surprise` gives each term's, and that of all together, in decades.

    A term's surprise is the larger of two rarities, of its last error and of the mean of its last two; that of
    all terms is the sum of the WITNESSES largest of theirs. Both are calibrated again, so that a decade means the
    same everywhere. Spreads are fitted on three quarters of the episodes and tails on the rest, in turn.
    """

    def __init__(self, watcher: Watcher, episodes: Sequence[Clip]) -> None:
        self.watcher = watcher
        lived = [watcher.signals(clip) for clip in episodes]
        self.views = [(term, steps) for term in lived[0].errors for steps in (1, RECENT)]
        self.spreads = {view: self._spread(lived, view) for view in self.views}
        held_out: dict[tuple[str, int], list[tuple[Floats, Floats]]] = {view: [] for view in self.views}
        for fold in range(FOLDS):
            others = [signals for i, signals in enumerate(lived) if i % FOLDS != fold]
            for view in self.views:
                spread = self._spread(others, view)
                for i in range(fold, len(lived), FOLDS):
                    held_out[view].append(self._measure(lived[i], view, spread))
        measured = {
            view: tuple(np.concatenate(side) for side in zip(*parts, strict=True))
            for view, parts in held_out.items()
        }
        self.tails = {view: TailsByExpectation(*sides) for view, sides in measured.items()}
        rare = {view: self.tails[view](*sides) for view, sides in measured.items()}
        self.terms = {term: Tail(self._most(rare, term)) for term in lived[0].errors}
        each = np.stack([tail(self._most(rare, term)) for term, tail in self.terms.items()])
        self.together = Tail(_of_witnesses(each))

    def surprise(self, clip: Clip) -> dict[str, Floats]:
        """Term -> [steps], in decades; `TOGETHER` is all terms' one."""
        signals = self.watcher.signals(clip)
        rare = {
            view: self.tails[view](*self._measure(signals, view, self.spreads[view])) for view in self.views
        }
        found = {term: tail(self._most(rare, term)) for term, tail in self.terms.items()}
        return {**found, TOGETHER: self.together(_of_witnesses(np.stack(list(found.values()))))}

    def _spread(self, lived: Sequence[Signals], view: tuple[str, int]) -> Spread:
        term, steps = view
        errors = np.concatenate([averaged(signals.errors[term], steps) for signals in lived])
        if term in self.watcher.absolute:
            return Spread(errors, None)
        return Spread(errors, np.concatenate([signals.context for signals in lived]))

    def _measure(self, signals: Signals, view: tuple[str, int], spread: Spread) -> tuple[Floats, Floats]:
        """A view's errors over what was expected of them, and the logarithm of that."""
        term, steps = view
        return spread(averaged(signals.errors[term], steps), signals.context)

    def _most(self, rare: dict[tuple[str, int], Floats], term: str) -> Floats:
        return np.asarray(np.maximum(rare[term, 1], rare[term, RECENT]) + 1e-9)


def _of_witnesses(each: Floats) -> Floats:
    """The sum of the WITNESSES largest of the terms' surprises [terms, steps] at each step."""
    return np.asarray(np.sort(each, 0)[-WITNESSES:].sum(0) + 1e-9)
