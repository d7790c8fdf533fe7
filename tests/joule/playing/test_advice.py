"""What the page of `joule play` says of a task or a constraint on what the robot does not observe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import envs
import joule
from agent.configurator.dotted_names import replace
from joule.playing.panel import Panel
from joule.playing.player import Player
from joule.playing.requests import Requests
from joule.playing.simulation import Simulation
from joule.training.unseen_place import UnseenPlace

CHEETAH = "HalfCheetah-v5"


def test_a_task_and_a_constraint_on_a_place_that_is_not_observed_have_a_warning(
    make_agent: Callable[..., Any],
) -> None:
    env: Any = envs.make(CHEETAH)
    agent = make_agent(env, env=CHEETAH)
    simulation = Simulation(agent, env, 7, UnseenPlace(agent.config, "train with"))
    gui, player = MagicMock(), Player(simulation, Requests())
    gui.add_slider.return_value.precision = 0
    gui.add_html.side_effect = lambda _: MagicMock()
    panel = Panel(gui, player, MagicMock(), MagicMock(), "")
    click = gui.add_button.return_value.on_click.call_args.args[0]

    def shown(task: str) -> str:
        panel._task.value = task
        click(None)
        player.meet_requests(MagicMock())
        return str(panel._advice.content)

    assert panel._advice.content == ""
    assert shown("less:velocity") == ""
    said = shown("0.1*reach:position=2")
    assert "warning: task 0.1*reach:position=2: the agent does not observe position, " in said
    assert "; train with --env-kwargs &#x27;{" in said
    assert shown("") == ""
    agent.constrain("position<3")
    assert "warning: constraint position&lt;3: the agent does not observe position, " in shown(
        "less:velocity"
    )


def test_a_learned_task_has_a_warning_until_another_one_is_planned_for(
    make_agent: Callable[..., Any],
) -> None:
    env: Any = joule.make_env(CHEETAH, task="reach:position=2")
    agent = make_agent(env, env=CHEETAH, task="reach:position=2")
    simulation = Simulation(agent, env, 7, UnseenPlace(replace(agent.config, {"perturb": ("latency=3",)})))
    assert simulation.steering is not None
    (said,) = simulation.advice
    assert said.startswith("task reach:position=2: the agent does not observe position, ")
    simulation.steering.plan_for("less:velocity")
    assert simulation.advice == []
