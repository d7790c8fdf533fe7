"""Gradient planning: refine the best few candidates by descent on the energy itself.

A projected quasi-Newton method: L-BFGS directions (Nocedal 1980) in the coordinates that are free to move,
projected back onto the box (Bertsekas 1982), with Armijo backtracking. Every candidate of every environment
is its own problem, with its own step size and history. All of them share one evaluation of the energy and its
gradient per iteration.
"""

import dataclasses
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from planners.action_box import ActionBox
from planners.anytime import goes_on
from planners.base import Bound, EnergyFn, Plan, PlanError, Proceed, check_settings, setting
from planners.elites import Elites, evaluate, with_given


@dataclass(frozen=True)
class GradientSettings:
    """Settings of the gradient planner. `std_max` is relative to the half-width of the action box."""

    samples: int = setting(64, 1, 1_000_000)
    """Candidate action sequences that are drawn around the warm start, or around actions of 0 without one."""
    elites: int = setting(4, 1, 1_000_000)
    """Best candidates, from which the descent starts."""
    iterations: int = setting(10, 0, 100_000)
    """Steps of the descent, each of one evaluation and gradient; with 0 the best drawn candidate is the plan."""
    memory: int = setting(10, 1, 1_000)
    """Past steps from which L-BFGS computes a direction; with horizon times action size it is full BFGS."""
    std_max: float = setting(1.0, 1e-9, 1e3)
    """Standard deviation of the drawn candidates; 1 is half the action range."""

    def __post_init__(self) -> None:
        check_settings(self)


class Gradient:
    """Descends the energy from the best of the warm start, the proposals and random candidates.

    Args:
        settings: the planner's own settings.
        horizon: number of decisions planned ahead.
        low: lower bounds of the action, a tensor [act] or one number.
        high: upper bounds of the action, as `low`.
        batch: number of environments planned for at once.

    Raises:
        SettingError: for bounds, a horizon or a batch that cannot be used.
    """

    def __init__(
        self, settings: GradientSettings, horizon: int, low: Bound, high: Bound, batch: int = 1
    ) -> None:
        self.settings, self.horizon = settings, horizon
        self.box = ActionBox(horizon, low, high, batch)

    def plan(
        self,
        energy: EnergyFn,
        *,
        warm_start: Plan | None = None,
        proposals: Float[Tensor, "batch n horizon act"] | None = None,
        generator: torch.Generator | None = None,
        proceed: Proceed | None = None,
    ) -> Plan:
        """See `Planner.plan`. The candidates, the first gradient and each step of the descent are an iteration.

        Raises:
            PlanError: also for an energy that is not differentiable in the actions.
        """
        box, settings = self.box, self.settings
        with torch.no_grad():
            noise = box.normal(settings.samples, generator=generator)
            noise[0] = 0  # candidate 0 is the mean itself
            std = box.first_std(warm_start, settings.std_max * box.half)
            drawn = box.first_mean(warm_start).unsqueeze(1) + std.unsqueeze(1) * noise
            box.clamp_(drawn)
            candidates = with_given(drawn, box.given_candidates(warm_start, proposals))
            elites = Elites(settings.elites, keep=1)
            elites.update(candidates, evaluate(energy, candidates))
        if settings.iterations == 0 or not goes_on(proceed):
            return elites.plan()
        descent = Descent(energy, box, elites.actions, settings.memory)
        best = [elites.energy[:, 0]]
        for _ in range(settings.iterations):
            if descent.finished() or not goes_on(proceed):
                break
            descent.step()
            best.append(torch.minimum(best[-1], descent.energy.amin(dim=1)))
        # The best starting point stays a candidate: rounding must not make a plan worse than its start.
        refined = Elites(settings.elites, keep=1)
        refined.update(
            torch.cat([elites.actions[:, :1], descent.sequences()], dim=1),
            torch.cat([elites.energy[:, :1], descent.energy], dim=1),
        )
        return dataclasses.replace(refined.plan(), trace=torch.stack(best))


def energy_and_gradient(
    energy: EnergyFn, sequences: Float[Tensor, "batch elites horizon act"]
) -> tuple[Float[Tensor, "batch elites"], Float[Tensor, "batch elites horizon act"]]:
    """Energies, with non-finite ones made +inf, and their gradient in the actions.

    Raises:
        PlanError: when the energy does not depend on the actions through autograd.
    """
    with torch.inference_mode(False), torch.enable_grad():
        actions = sequences.detach().clone().requires_grad_()
        raw = energy(actions)
        if not raw.requires_grad:
            raise PlanError("the gradient planner needs an energy that is differentiable in the actions")
        values = evaluate(lambda _: raw.detach(), actions.detach())
        (gradient,) = torch.autograd.grad(raw, actions, torch.ones_like(raw))
    return values, gradient


class Descent:
    """Projected L-BFGS on all candidates side by side, in coordinates where the box is [-1, 1].

    Axes: `rows` are candidates (batch * elites), `numbers` the horizon * act coordinates of one plan.

    Args:
        energy: the energy of candidates, differentiable in the actions.
        box: the box of allowed sequences.
        start: the candidates to refine.
        memory: number of past steps that shape a direction.

    Raises:
        PlanError: when the energy does not depend on the actions through autograd.
    """

    def __init__(
        self,
        energy: EnergyFn,
        box: ActionBox,
        start: Float[Tensor, "batch elites horizon act"],
        memory: int,
    ) -> None:
        self._energy_fn, self._box, self._shape = energy, box, start.shape
        self._half = box.half.repeat(box.horizon)
        self._middle = box.centre[0, 0].repeat(box.horizon)
        self._point = ((start.flatten(2).flatten(0, 1) - self._middle) / self._half).clamp_(-1, 1)
        self._value, self._slope = self._evaluate(self._point)
        rows, numbers = self._point.shape
        # Newest pair first: how the point moved, and how its gradient changed.
        self._moves = self._point.new_zeros(memory, rows, numbers)
        self._changes = torch.zeros_like(self._moves)
        self._step_size = self._point.new_ones(rows)
        self._direction = self._new_direction()

    @property
    def energy(self) -> Float[Tensor, "batch elites"]:
        """Energy of each candidate now."""
        return self._value.view(self._shape[:2])

    def sequences(self) -> Float[Tensor, "batch elites horizon act"]:
        """The candidates now, in units of the action."""
        return self._actions(self._point)

    def finished(self) -> bool:
        """Whether no candidate can still move by more than rounding."""
        largest_move = self._direction.abs().amax(dim=1) * self._step_size
        return not bool((largest_move > 4 * torch.finfo(largest_move.dtype).eps).any())

    @torch.no_grad()
    def step(self) -> None:
        """Tries every candidate's step; accepts the steps that lower the energy, and shortens the others."""
        trial = torch.addcmul(self._point, self._step_size.unsqueeze(1), self._direction).clamp_(-1, 1)
        value, slope = self._evaluate(trial)
        move = trial - self._point
        gain = (self._slope * move).sum(dim=1)
        accepted = (value <= self._value + 1e-4 * gain) & (gain < 0)
        self._store(accepted, move, slope - self._slope)
        # On rejection, the minimum of the parabola through the two energies and the slope.
        parabola = -gain / (2 * (value - self._value - gain))
        shorter = torch.where(parabola.isfinite(), parabola, 0.5).clamp_(0.1, 0.5)
        self._step_size = torch.where(accepted, 1, self._step_size * shorter)
        self._point = torch.where(accepted.unsqueeze(1), trial, self._point)
        self._slope = torch.where(accepted.unsqueeze(1), slope, self._slope)
        self._value = torch.where(accepted, value, self._value)
        self._direction = torch.where(accepted.unsqueeze(1), self._new_direction(), self._direction)

    def _actions(self, point: Float[Tensor, "rows numbers"]) -> Float[Tensor, "batch elites horizon act"]:
        return self._box.clamp_(torch.addcmul(self._middle, point, self._half).view(self._shape))

    def _evaluate(
        self, point: Float[Tensor, "rows numbers"]
    ) -> tuple[Float[Tensor, " rows"], Float[Tensor, "rows numbers"]]:
        value, gradient = energy_and_gradient(self._energy_fn, self._actions(point))
        slope = gradient.flatten(2).flatten(0, 1) * self._half
        # A derivative that is not finite says nothing: the descent leaves that number unchanged.
        return value.flatten(), slope.nan_to_num(nan=0, posinf=0, neginf=0)

    def _store(
        self,
        accepted: Bool[Tensor, " rows"],
        move: Float[Tensor, "rows numbers"],
        change: Float[Tensor, "rows numbers"],
    ) -> None:
        """Adds the pair of an accepted step to the history; the oldest pair leaves it."""
        for pairs, newest in ((self._moves, move), (self._changes, change)):
            moved = torch.cat([newest.unsqueeze(0), pairs[:-1]])
            pairs.copy_(torch.where(accepted.unsqueeze(1), moved, pairs))

    def _new_direction(self) -> Float[Tensor, "rows numbers"]:
        """The two-loop recursion on the free coordinates: those without an active bound.

        Pairs without positive curvature there are skipped. Without any pair the direction is down the
        gradient, as far as the number that moves most moves by a quarter of the box.
        """
        active = ((self._point <= -1) & (self._slope > 0)) | ((self._point >= 1) & (self._slope < 0))
        free = (~active).to(self._point.dtype)
        moves, changes = self._moves * free, self._changes * free
        curvature = (moves * changes).sum(dim=2, keepdim=True)
        square = changes.square().sum(dim=2, keepdim=True)
        size = moves.square().sum(dim=2, keepdim=True)
        usable = curvature > torch.finfo(curvature.dtype).eps * (square * size).sqrt()
        inverse = torch.where(usable, 1 / curvature, 0)
        slope = self._slope * free
        direction, weights = -slope, []
        for move, change, rho in zip(moves, changes, inverse, strict=True):
            weight = rho * (move * direction).sum(dim=1, keepdim=True)
            direction = direction - weight * change
            weights.append(weight)
        steepest = 0.5 / slope.abs().amax(dim=1, keepdim=True).clamp_min(torch.finfo(slope.dtype).tiny)
        newest = usable.int().argmax(dim=0, keepdim=True)
        scale = (curvature / square).gather(0, newest)[0]
        direction = direction * torch.where(usable.any(dim=0), scale, steepest)
        backwards = zip(moves.flip(0), changes.flip(0), inverse.flip(0), reversed(weights), strict=True)
        for move, change, rho, weight in backwards:
            correction = rho * (change * direction).sum(dim=1, keepdim=True)
            direction = direction + (weight - correction) * move
        return direction
