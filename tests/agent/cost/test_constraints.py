"""Guards: no cost outweighs them, the worst head counts, and an agent keeps them as far as it can foresee."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from commands import assert_refused
from linear_problem import GAMMA, linear_problem
from torch import Tensor, nn

import joule
from agent.actor.actor import ConstrainedChoice
from agent.configurator.settings import Config
from agent.configurator.validation import from_json, replace, to_json, validate
from agent.cost.constraint import Constraint, covered_by_task, parse_constraint
from agent.cost.constraint_cost import ConstraintCost
from agent.cost.energy import Energy, EnergyWeights
from agent.cost.readouts import Readouts, TaskError
from agent.errors import ConfigError
from agent.memory.replay_buffer import ReplayBuffer
from agent.world_model.dynamics import Step
from joule.environment import make_env

LAYOUT = Readouts({"speed": 1, "place": 2}, {})
pytestmark = pytest.mark.usefixtures("unchecked")


def over(text: str, rows: list[list[float]]) -> list[float]:
    """What a guard says of rows of speed and place, never below 0."""
    named = LAYOUT.of(torch.tensor(rows), torch.zeros(len(rows), 1), lambda: torch.zeros(len(rows)))
    return parse_constraint(text).cost(named).clamp_min(0.0).tolist()  # type: ignore[no-any-return]


def test_limits_and_zones_measure_how_far_they_are_overstepped() -> None:
    rows = [[3.0, 0.0, 0.0], [-1.0, 0.5, -4.0]]
    assert over("speed<2", rows) == pytest.approx([1.0, 0.0])
    assert over("speed > -0.5", rows) == pytest.approx([0.0, 0.5])
    assert over("place>-1", rows) == pytest.approx([0.0, 3.0])
    assert over("place.0<0.4", rows) == pytest.approx([0.0, 0.1])
    assert over("out-of:x=0,y=0,r=1,of=place", rows) == pytest.approx([1.0, 0.0])


@pytest.mark.parametrize("text", ["speed", "speed<fast", "speed<1,2", "zone:x=0", "speed<nan", "out-of:x=1"])
def test_text_that_is_no_guard_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_constraint(text)


@pytest.mark.parametrize(
    ("task", "known"),
    [
        ("own+20*keep:speed<2+3*out-of:x=0,y=0,r=1", True),
        ("out-of:x=0,y=0,r=1+keep: speed < 2", True),
        ("own+20*keep:speed<1.8+3*out-of:x=0,y=0,r=1", True),
        ("own+20*keep:speed>2+3*out-of:x=0,y=0,r=1", False),
        ("own+20*keep:speed<2", False),
        ("own+keep:speed<3+out-of:x=0,y=0,r=1", False),
        ("python: careful", False),
        ("", False),
    ],
)
def test_a_policy_has_lived_with_guards_when_its_task_charged_for_each(task: str, known: bool) -> None:
    assert covered_by_task(("speed <2", "out-of:x=0,y=0,r=1"), task) is known


def test_the_head_that_sees_it_worst_decides() -> None:
    # Latents are readouts here: one head foresees speeds 1 and 5, the other 4 and 0.
    networks: Any = SimpleNamespace(
        readout=nn.Identity(),
        readout_normalizer=SimpleNamespace(inverse=lambda x: x, mean=torch.zeros(3)),
        parameters=lambda: iter([torch.zeros(1)]),
    )
    constraint_cost = ConstraintCost([parse_constraint("speed<2"), parse_constraint("place<9")], LAYOUT, networks, 1)
    heads = torch.zeros(2, 2, 3)
    heads[:, :, 0] = torch.tensor([[1.0, 5.0], [4.0, 0.0]])
    step = Step(heads, torch.zeros(2, 1), torch.zeros(2))
    assert constraint_cost(step, torch.zeros(2, 1)).tolist() == [2.0, 3.0]
    nan = ConstraintCost([Constraint("odd", lambda r: r["speed"] / 0.0 * 0.0)], LAYOUT, networks, 1)
    assert nan(step, torch.zeros(2, 1)).tolist() == [torch.inf] * 2
    with pytest.raises(TaskError, match="'height' is no readout"):
        ConstraintCost([parse_constraint("height<1")], LAYOUT, networks, 1)


def test_the_room_of_a_guard_is_how_far_off_lived_steps_were_foreseen() -> None:
    """A body that moves by its action is foreseen 0.1 short a step: 0.1, 0.2, 0.3 behind the truth."""

    class Short:
        def predict(self, z: Tensor, action: Tensor) -> Step:
            heads = z + action - torch.tensor([[[0.1]], [[0.3]]])  # the other head sees it even less far
            return Step(heads.expand(2, -1, -1), torch.zeros(len(z), 1), torch.zeros(len(z)))

    networks: Any = SimpleNamespace(
        readout=nn.Identity(),
        readout_normalizer=SimpleNamespace(inverse=lambda x: x, mean=torch.zeros(1)),
        parameters=lambda: iter([torch.zeros(1)]),
        world_model=Short(),
    )
    replay_buffer = ReplayBuffer(900, 1, 1, 1)
    rng = np.random.default_rng(3)
    for _ in range(80):
        place = rng.uniform(-1.0, 1.0, 1)
        replay_buffer.begin(place, place)
        for _ in range(10):
            action = rng.uniform(-0.2, 0.2, 1)
            place = place + action
            replay_buffer.add(action, 0.0, False, place, place)
    constraint_cost = ConstraintCost(
        [parse_constraint("place<0.5"), parse_constraint("place>-0.5")], Readouts({"place": 1}, {}), networks, 1
    )

    def perceive(obs: np.ndarray) -> Tensor:
        return torch.from_numpy(obs.astype(np.float32))

    # Heads 0.1 and 0.3 short lie 0.1 and 0.1 + 0.2 a step before on average; the worst is the nearer one.
    margin = constraint_cost.margin(replay_buffer, perceive, 3)
    torch.testing.assert_close(margin[:, 0], torch.tensor([0.1, 0.3, 0.5]))
    assert margin[:, 1].tolist() == [0.0] * 3, "who is foreseen beyond the limit needs no room to it"
    step = Step(torch.full((2, 4, 1), 0.3), torch.zeros(4, 1), torch.zeros(4))
    assert constraint_cost(step, torch.zeros(4, 1), 1, margin).tolist() == pytest.approx([0.1] * 4)
    assert constraint_cost(step, torch.zeros(4, 1), 0, margin).tolist() == [0.0] * 4
    assert constraint_cost.margin(ReplayBuffer(9, 1, 1, 1), perceive, 2).tolist() == [[0.0, 0.0]] * 2


@pytest.mark.parametrize(
    ("costs", "doubts", "over", "left"),
    [
        ((2.0, 1.0), (0.0, 5.0), (0.0, 0.0), True),
        ((1.0, 2.0), (5.0, 0.0), (0.0, 0.0), False),  # less doubt is no reason
        ((2.0, 1.0), (0.0, 0.0), (0.0, 1.0), False),
        ((1.0, 9.0), (0.0, 9.0), (2.0, 1.0), True),
        ((2.0, 1.0), (0.0, 0.0), (1.0, 2.0), False),
    ],
)
def test_a_policy_that_learned_its_guards_is_left_for_what_is_safe_and_costs_less(
    costs: tuple[float, float],
    doubts: tuple[float, float],
    over: tuple[float, float],
    left: bool,
) -> None:
    said = {"task": costs, "unsure": doubts, "constraint": over}
    constrained_choice = ConstrainedChoice(lambda plans: {name: torch.tensor([pair]) for name, pair in said.items()})
    assert constrained_choice.leaves(torch.zeros(1, 3, 1), torch.ones(1, 3, 1)).tolist() == [left]


@pytest.mark.parametrize("price", [1.0, 1e12])
def test_no_cost_outweighs_a_guard_and_less_violation_is_better(cost_fn: float) -> None:
    world, policy, critic, _ = linear_problem(1)

    def costs(step: Step, action: Tensor) -> dict[str, Tensor]:
        return {"dear": -cost_fn * step.z[:, 0]}  # the farther over the limit, the cheaper

    def constraint_cost(step: Step, action: Tensor, ahead: int = 0) -> Tensor:
        return (step.z[:, 0] - 0.5).clamp_min(0.0)

    weights = EnergyWeights()
    energy = Energy(torch.zeros(1, 4).double(), world, critic, policy, GAMMA, weights, False, costs, constraint_cost)
    actions = torch.rand(1, 400, 2, 2, generator=torch.Generator().manual_seed(1)).double() * 2 - 1
    future = world.rollout(torch.zeros(400, 4).double(), actions[0])
    over = torch.stack([constraint_cost(step, actions) for step in future]).sum(0)
    values, broken = energy(actions)[0], over > 0
    assert 20 < broken.sum() < 380
    assert values[broken].min() > values[~broken].max()
    assert values.isfinite().all()
    if cost_fn == 1.0:
        assert torch.equal(values[broken].argsort(), over[broken].argsort())


def test_an_agent_keeps_a_guard_that_its_task_pulls_it_over(trained_run: Path) -> None:
    def broken(*constraints: str) -> float:
        """Share of decisions after which the body is beyond 0.2, of those from starts within it."""
        learner: Any = joule.load(trained_run, settings={"constraint": constraints, "planner.horizon-decisions": 4})
        body = make_env(learner.config)
        seen = []
        for seed in range(12):
            obs, _ = body.reset(seed=10_000 + seed)
            if obs[0] > 0.0:
                continue
            state = None
            for _ in range(25):
                action, state = learner.predict(obs, state, np.array([state is None]))
                obs, *_ = body.step(action)
                seen.append(obs[0] > 0.2)
        return float(np.mean(seen))

    assert broken() > 0.1
    assert broken("position<0.1") < 0.03  # the model errs by a few hundredths


def test_guards_are_settings_that_a_planner_alone_can_keep(trained_run: Path) -> None:
    config = validate(replace(Config(), {"constraint": ("speed<2", "out-of:x=0,y=0,r=1")}))
    assert from_json(to_json(config)) == config
    for other in ({"agent": "sac"}, {"planner.kind": "policy"}):
        with pytest.raises(ConfigError, match="can keep no guard"):
            validate(replace(config, other))
    learner: Any = joule.load(trained_run).constraint(Constraint("left", lambda r: r["position"]))  # type: ignore[attr-defined]
    _, state = learner.predict(np.array([1.0, 0.0, 0.0], np.float32))
    assert learner.explain(state)["constraint"][0] > 1e9
    assert "guard" not in learner.constraint().explain(state)
    assert_refused("evaluate", [str(trained_run), "--constraint", "position?2"], "is no limit such as speed<2")


def test_a_guard_is_saved_with_its_agent_and_never_lost_in_silence(trained_run: Path, tmp_path: Path) -> None:
    learner: Any = joule.load(trained_run)
    learner.constraint(parse_constraint("position<0.5")).save(tmp_path / "text")
    kept: Any = joule.load(tmp_path / "text")
    assert [constraint.name for constraint in kept.modules.constraint_cost.constraints] == ["position<0.5"]
    learner.constraint(Constraint("left", lambda r: r["position"])).save(tmp_path / "function")
    with pytest.raises(ConfigError, match="'left' was a function in Python"):
        joule.load(tmp_path / "function")
    free: Any = joule.load(tmp_path / "function", settings={"constraint": ()})
    assert free.modules.constraint_cost is None
