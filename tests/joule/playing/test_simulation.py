"""Playing without a page: pushes, changes of the environment and of the agent, and the loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
import tiny_env

import envs
import joule
from agent.errors import ConfigError
from joule.playing.charts import Charts, History, heading
from joule.playing.panel import Panel
from joule.playing.player import Player
from joule.playing.pushes import PUSH_SECONDS
from joule.playing.requests import Requests
from joule.playing.simulation import Moment, Simulation
from joule.playing.steering import Steering

PUSHER = 1


@pytest.fixture
def simulation() -> Simulation:
    """An agent that does nothing, in an environment with physics."""
    env: Any = envs.make("joule/Push-v0")
    return Simulation(joule.make("zero", env=env), env, 7)


class Screen:
    """A display that closes after some moments."""

    def __init__(self, moments: int) -> None:
        self.left, self.said = moments, [""]
        self.shown: list[Moment] = []

    def watched(self) -> bool:
        """Always."""
        return True

    def closed(self) -> bool:
        """After so many moments."""
        return len(self.shown) > self.left

    def show(self, moment: Moment) -> None:
        """Keeps it."""
        self.shown.append(moment)

    def say(self, sentence: str) -> None:
        """Keeps it."""
        self.said.append(sentence)


def test_a_push_lasts_a_while_and_a_pull_until_it_is_released(simulation: Simulation) -> None:
    applied = simulation.physics.data.xfrc_applied
    simulation.pushes.push(PUSHER, "-x", 3.0)
    steps = round(PUSH_SECONDS / simulation.seconds)
    for _ in range(steps):
        assert len(simulation.pushes.arrows()) == 1
        simulation.step()
        np.testing.assert_array_equal(applied[PUSHER, :3], [-3.0, 0.0, 0.0])
    simulation.step()
    assert not applied.any()
    held = simulation.physics.data.xpos[PUSHER].copy()
    simulation.pushes.hold(PUSHER, held)
    simulation.pushes.pull(held + np.array([0.0, 0.5, 0.0]))
    simulation.step()
    assert applied[PUSHER, 1] > 0.0
    simulation.pushes.pull(held + np.array([0.0, 1e6, 0.0]))
    simulation.step()
    assert applied[PUSHER, 1] == pytest.approx(5.0 * simulation.pushes.forces.weight), "a pull is bounded"
    simulation.pushes.release()
    simulation.step()
    assert not applied.any()


def test_a_slider_changes_the_environment_in_this_episode_and_the_next(simulation: Simulation) -> None:
    usual = simulation.physics.model.opt.gravity[2]
    simulation.set_factor("gravity", 0.5)
    assert simulation.physics.model.opt.gravity[2] == 0.5 * usual
    simulation.reset()
    assert simulation.perturbations == ("gravity=0.5",)
    assert (simulation.moment.seed, simulation.factor("gravity")) == (8, 0.5)
    simulation.set_factor("gravity", 1.0)
    assert simulation.physics.model.opt.gravity[2] == usual
    assert simulation.perturbations == ()


def test_the_loop_meets_requests_and_says_what_it_cannot_do(simulation: Simulation) -> None:
    requests, screen = Requests(), Screen(3)
    player = Player(simulation, requests, speed=100.0)
    requests.ask("gravity", lambda: simulation.set_factor("gravity", 2.0))
    requests.ask("gravity", lambda: simulation.set_factor("gravity", 11.0))
    player.run(screen)
    assert [moment.decision for moment in screen.shown] == [0, 1, 2, 3]
    assert "gravity must be a number from 0 to 10" in screen.said[-1]
    assert simulation.factor("gravity") == 1.0, "of requests with one key the last one counts"
    player.step(screen)
    assert player.paused
    assert screen.shown[-1].decision == 4


def test_a_defect_of_a_request_is_said_and_the_simulation_goes_on(
    simulation: Simulation, capsys: pytest.CaptureFixture[str]
) -> None:
    requests, screen = Requests(), Screen(2)
    requests.ask("task", lambda: dict[str, int]()["a\nreadout"])
    requests.ask("fault", lambda: 1 // 0)
    requests.ask("gravity", lambda: simulation.set_factor("gravity", 2.0))
    Player(simulation, requests, speed=100.0).run(screen)
    assert [moment.decision for moment in screen.shown] == [0, 1, 2]
    assert screen.said[1].startswith("KeyError: ")
    assert screen.said[2].startswith("ZeroDivisionError: integer division")
    assert all(said.endswith("; the terminal shows the traceback") for said in screen.said[1:])
    assert "in <lambda>" in capsys.readouterr().err
    assert simulation.factor("gravity") == 2.0


def test_curves_are_of_one_episode() -> None:
    history = History()
    for decision in (0, 1, 2):
        history.add(Moment(1, decision, 0.1 * decision, energies={"task": float(decision)}))
    repeated = Moment(1, 3, 0.3, surprise=2.0, energies={"critic": 5.0})
    history.add(repeated)
    history.add(repeated)
    np.testing.assert_allclose(history.seconds, [0.1, 0.2, 0.3])
    np.testing.assert_allclose(history.terms["critic"], [np.nan, np.nan, 5.0])
    assert history.surprise[-1] == 2.0
    history.add(Moment(2, 0, 0.0))
    assert not len(history.seconds)


def test_the_curves_of_a_plan_stay_when_an_episode_begins() -> None:
    gui = MagicMock()
    charts = Charts(gui, plans=True)
    for seed, energies in ((1, {"task": 1.0, "critic": 2.0}), (2, {"task": 1.0, "critic": 2.0})):
        charts.show(Moment(seed, 0, 0.0))
        charts.show(Moment(seed, 1, 0.1, energies=energies))
    assert gui.add_uplot.call_count == 4, "surprise, reward and two terms"
    gui.add_uplot.return_value.remove.assert_not_called()
    charts.show(Moment(3, 0, 0.0))
    charts.show(Moment(3, 1, 0.1, energies={"less:velocity": 1.0}))
    assert gui.add_uplot.return_value.remove.call_count == 2, "another task has other terms"


def test_a_name_is_no_markup() -> None:
    assert "<script>" not in heading("<script>", 1.0, "#000000")


def test_an_environment_without_physics_is_refused() -> None:
    env: Any = envs.make(tiny_env.ID)
    with pytest.raises(ConfigError, match="has no MuJoCo model that could be shown"):
        Simulation(joule.make("zero", env=env), env, 0)


def test_an_agent_is_steered_while_it_acts(make_agent: Callable[..., Any]) -> None:
    agent = make_agent()
    steering = Steering(agent)
    obs = np.zeros(3, np.float32)
    assert {"icem", "mppi", "policy"} <= {*steering.planners}
    for kind in ("icem", "policy"):
        steering.choose_planner(kind)
        state = agent.predict(obs)[1]
        assert (state.plan is None) == (kind == "policy")
    with pytest.raises(ConfigError, match="choose a planner"):
        steering.plan_for("less:position")
    steering.choose_planner("mppi")
    steering.plan_for("less:position+0.5*control")
    assert (steering.terms, steering.weights) == (["less:position", "control"], [1.0, 0.5])
    state = agent.predict(obs)[1]
    assert state.plan.actions.shape[1] == 15
    before = agent.explain(state)
    steering.weigh_term(0, 3.0)
    after = agent.explain(state)
    assert list(after) == list(before)
    (name, cost), *_ = before.items()
    np.testing.assert_allclose(after[name], 3.0 * cost, rtol=1e-5)
    with pytest.raises(ConfigError, match="the task needs a plan"):
        steering.choose_planner("policy")
    agent.plan_for(joule.Goal(obs, name="middle"))
    assert (Steering(agent).goal, Steering(agent).terms) == ("middle", [])
    steering.plan_for("")
    assert steering.goal == ""
    assert agent.modules.actor.horizon == agent.config.planner.horizon_decisions
    steering.weigh_cost("action", 2.0)
    assert agent.config.cost.action == 2.0
    assert "control" in agent.explain(agent.predict(obs)[1])


def test_a_plan_is_imagined_and_continued_by_the_policy(make_agent: Callable[..., Any]) -> None:
    agent = make_agent()
    obs = np.array([0.3, 0.0, -0.4], np.float32)
    state = agent.predict(obs)[1]
    plan = state.plan.actions[0].numpy()
    future = agent.imagine_plan(state, len(plan) + 2)
    assert future.shape == (len(plan) + 3, 2)
    np.testing.assert_allclose(future[: len(plan) + 1], agent.imagine(obs, plan), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(agent.imagine_plan(state, 1), future[:2], rtol=1e-4, atol=1e-5)
    batch = agent.predict(np.stack([obs, obs]))[1]
    with pytest.raises(ValueError, match="of a batch"):
        agent.imagine_plan(batch, 1)


def test_weights_of_a_task_keep_its_horizon_and_stand_in_its_text(make_agent: Callable[..., Any]) -> None:
    agent = make_agent()
    agent.plan_for("less:position+0.1*control+0*more:distance", horizon_decisions=6)
    steering = Steering(agent)
    assert steering.task == "less:position+0.1*control+0*more:distance"
    steering.weigh_term(2, 2.0)
    assert agent.modules.actor.horizon == 6
    assert agent.modules.task_cost.task.text == "less:position+0.1*control+2*more:distance", (
        "a term of weight 0 can be weighted again"
    )
    assert steering.task == "less:position+0.1*control+2*more:distance"
    steering.plan_for("")
    steering.plan_for("less:position")
    assert agent.modules.actor.horizon == 15


def panel_of(simulation: Simulation) -> tuple[Panel, Player, dict[str, MagicMock]]:
    """The controls of a page that nobody sees, what plays, and the controls by name."""
    gui, controls = MagicMock(), dict[str, MagicMock]()

    def add(name: str, *rest: Any, **given: Any) -> MagicMock:
        value = given.get("initial_value", rest[0] if rest else None)
        bounds = {bound: given.get(bound) for bound in ("min", "max")}
        controls[name] = MagicMock(value=value, disabled=False, precision=0, **bounds)
        return controls[name]

    gui.add_slider = gui.add_text = gui.add_button = gui.add_dropdown = add
    gui.add_folder.side_effect = lambda *_: MagicMock()
    player = Player(simulation, Requests())
    return Panel(gui, player, MagicMock(), MagicMock(), ""), player, controls


def change(slider: MagicMock, value: float | None) -> None:
    """Moves a slider, as a person does."""
    slider.value = value
    slider.on_update.call_args.args[0](None)


def test_a_slider_weighs_its_own_task_alone(make_agent: Callable[..., Any]) -> None:
    env: Any = envs.make("joule/Push-v0")
    simulation = Simulation(make_agent(env, env="joule/Push-v0"), env, 7)
    assert simulation.steering is not None
    simulation.steering.plan_for("own+control")
    _, player, controls = panel_of(simulation)
    assert controls["uncertainty penalty"].disabled, "plans for a task pay nothing for it"
    controls["task"].value, screen = "own", Screen(0)
    controls["plan for this task"].on_click.call_args.args[0](None)
    change(controls["control"], 3.0)
    player.meet_requests(screen)
    assert (simulation.steering.task, simulation.steering.weights) == ("own", [1.0])
    change(controls["own"], 2.0)
    player.meet_requests(screen)
    assert simulation.steering.task == "2*own"
    controls["task"].value = ""
    controls["plan for this task"].on_click.call_args.args[0](None)
    player.meet_requests(screen)
    assert not controls["uncertainty penalty"].disabled
    assert screen.said == [""]


def test_undo_ends_a_change_that_no_slider_shows(simulation: Simulation) -> None:
    _, player, controls = panel_of(simulation)
    usual = simulation.physics.model.opt.gravity[2]
    simulation.env.perturb("gravity=0.5")
    controls["undo the changes"].on_click.call_args.args[0](None)
    player.meet_requests(Screen(0))
    assert simulation.physics.model.opt.gravity[2] == usual
    assert simulation.perturbations == ()


@pytest.fixture
def changing() -> Simulation:
    """The same in an environment that changes at frame 2 of every episode."""
    env: Any = envs.make("joule/Push-v0", perturb=["gravity=0.5@2", "mass=2@2", "noise=0.1@2"])
    return Simulation(joule.make("zero", env=env), env, 7)


def test_a_slider_takes_the_place_of_a_change_that_is_still_to_come(changing: Simulation) -> None:
    changing.set_factor("gravity", 2.0)
    with pytest.raises(envs.EnvError, match="mass must be"):
        changing.set_factor("mass", 1e6)
    for _ in range(2):
        for _ in range(4):
            changing.step()
        assert set(changing.perturbations) == {"gravity=2", "mass=2", "noise=0.1"}
        changing.reset()


def test_undo_ends_changes_that_are_still_to_come(changing: Simulation) -> None:
    _, player, controls = panel_of(changing)
    usual = changing.physics.model.opt.gravity[2]
    controls["undo the changes"].on_click.call_args.args[0](None)
    player.meet_requests(Screen(0))
    for _ in range(2):
        for _ in range(4):
            changing.step()
            assert changing.perturbations == ()
            assert changing.physics.model.opt.gravity[2] == usual
        changing.reset()
    changing.set_factor("gravity", 0.5)
    changing.reset()
    assert changing.perturbations == ("gravity=0.5",)


def test_no_observation_has_the_standing_noise_that_was_undone() -> None:
    env: Any = envs.make("joule/Push-v0", perturb=["noise=0.5"])
    simulation = Simulation(joule.make("zero", env=env), env, 7)
    simulation.set_factor("noise", 0.0)
    simulation.reset(3)
    first, _ = envs.make("joule/Push-v0").reset(seed=3)
    np.testing.assert_array_equal(simulation._episode.obs, first)
    simulation.set_factor("noise", 0.5)
    simulation.reset(3)
    assert (simulation._episode.obs != first).all()


def test_a_slider_goes_back_where_its_value_is_refused(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, player, controls = panel_of(simulation)
    screen = Screen(0)
    simulation.set_factor("gravity", 0.5)

    def refusing(text: str) -> None:
        raise envs.EnvError(f"perturbation {text} is of sensors")

    monkeypatch.setattr(simulation.env, "hold", refusing)
    for label, value in (("sensor noise", 0.3), ("gravity (x)", 2.0)):
        change(controls[label], value)
        player.meet_requests(screen)
    assert screen.said[1:] == ["perturbation noise=0.3 is of sensors", "perturbation gravity=2 is of sensors"]
    assert (controls["sensor noise"].value, controls["gravity (x)"].value) == (0.0, 0.5)


@pytest.mark.parametrize("typed", [0.0, -1.0, None])
def test_a_number_that_a_slider_does_not_have_changes_nothing(
    make_agent: Callable[..., Any], typed: float | None
) -> None:
    env: Any = envs.make("joule/Push-v0", perturb=["mass=2@150"])
    simulation = Simulation(make_agent(env, env="joule/Push-v0"), env, 7)
    steering, ghost, screen = simulation.steering, simulation.ghost, Screen(0)
    assert steering is not None
    assert ghost is not None
    steering.plan_for("2*own+control")
    _, player, controls = panel_of(simulation)
    change(controls["speed (x)"], 2.0)
    player.meet_requests(screen)
    usual, ahead = simulation.physics.model.body_mass.copy(), ghost.ahead
    for label in ("speed (x)", "mass (x)", "ghost ahead (s)"):
        change(controls[label], typed)
        player.meet_requests(screen)
    for label in ("own", "uncertainty penalty"):
        change(controls[label], None if typed is None else typed - 1.0)
        player.meet_requests(screen)
    assert (player.speed, ghost.ahead, steering.task) == (2.0, ahead, "2*own+control")
    assert steering.cost_weight("uncertainty") == 1.0
    np.testing.assert_array_equal(simulation.physics.model.body_mass, usual)
    assert screen.said == [""], "0 is the beginning of 0.5"


def test_a_latency_between_two_frames_is_refused_and_the_one_before_holds(simulation: Simulation) -> None:
    _, player, controls = panel_of(simulation)
    slider, screen = controls["latency (frames)"], Screen(0)
    for value in (2.0, 2.6, 26.0):
        change(slider, value)
        player.meet_requests(screen)
        assert (simulation.perturbations, slider.value) == (("latency=2",), 2.0)
    assert "latency must be a whole number" in screen.said[1]
    assert screen.said[2] == "latency (frames): 26 is more than 5; it stays at 2"


def test_the_last_decision_before_a_pause_is_drawn() -> None:
    gui = MagicMock()
    charts = Charts(gui, plans=False)
    for decision in range(4):
        charts.show(Moment(1, decision, 0.1 * decision, reward=float(decision)))
    plot = gui.add_uplot.return_value
    charts.show(Moment(1, 4, 0.4, reward=4.0), last=True)
    assert plot.data[1][-1] == 4.0
