"""The buttons and sliders of the page, each of which asks for one change between two decisions."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from envs.changes import factors
from joule.escaping import terminal
from joule.playing.player import Player
from joule.playing.pushes import DIRECTIONS
from joule.playing.simulation import Moment
from joule.playing.slider import Slider
from joule.playing.stage import Stage

LONGEST_NAME = 40
"""Characters of a name in the panel."""
LONGEST_ADVICE = 500
"""Characters of a warning in the panel."""
SPEEDS = (0.1, 4.0, 0.1)
"""Least, greatest and step of the speed."""
TERM_WEIGHTS, COST_WEIGHTS = (0.0, 5.0), (0.0, 10.0)
"""Least and greatest weight of a term of a task, and of an intrinsic cost."""


@dataclass(frozen=True)
class Factor:
    """A slider of a factor of the environment."""

    label: str
    low: float
    high: float
    step: float


FACTORS = {
    "gravity": Factor("gravity (x)", 0.0, 3.0, 0.05),
    "friction": Factor("friction (x)", 0.0, 3.0, 0.05),
    "mass": Factor("mass (x)", 0.2, 4.0, 0.05),
    "gain": Factor("motor force (x)", 0.0, 2.0, 0.05),
    "latency": Factor("latency (frames)", 0, 5, 1),
    "noise": Factor("sensor noise", 0.0, 1.0, 0.01),
}
"""Factors of `envs.changes.factors` that have a slider."""


def speeds(speed: float) -> tuple[float, float, float]:
    """The least and the greatest speed of the slider, and its step: SPEEDS, and as far as the speed asked for."""
    least, greatest, step = SPEEDS
    return min(least, speed), max(greatest, speed), min(step, speed)


class Panel:
    """The controls of a page.

    Args:
        gui: the `gui` of the viser server.
        player: what is controlled.
        stage: knows the links of the robot.
        display: is shown what a button does at once.
        title: what is played, in a line.
    """

    def __init__(self, gui: Any, player: Player, stage: Stage, display: Any, title: str) -> None:
        self._gui, self._player, self._stage, self._display = gui, player, stage, display
        self._simulation, self._ask = player.simulation, player.requests.ask
        self._terms: Any = None
        self._status = gui.add_html("")
        self._title = f"<b>{html.escape(terminal(title, 2 * LONGEST_NAME))}</b>"
        with gui.add_folder("Play"):
            self._add_play()
        with gui.add_folder("Push"):
            self._add_push()
        with gui.add_folder("Environment"):
            self._add_environment()
        if self._simulation.steering is not None:
            self._agent_folder = gui.add_folder("Agent")
            with self._agent_folder:
                self._add_agent()
            self._show_task()

    def show(self, moment: Moment) -> None:
        """Shows the numbers of a moment."""
        speed = f"{self._player.measured_speed:.1f} x" if not self._player.paused else "paused"
        ended = ", ended" if moment.ended else ""
        changed = (
            html.escape(terminal(", ".join(self._simulation.perturbations), 4 * LONGEST_NAME)) or "nothing"
        )
        self._status.content = (
            f'<div style="font-size:0.85em;padding:0 0.8em">{self._title}<br>'
            f"seed {moment.seed}: {moment.seconds:.2f} s, {speed}{ended}<br>"
            f"return {moment.total_return:,.1f}, {moment.milliseconds:.0f} ms a decision<br>"
            f"changed: {changed}</div>"
        )

    def _add_play(self) -> None:
        gui, player = self._gui, self._player
        buttons = gui.add_button_group("", ("pause", "step", "reset"))
        slowest, fastest, step = speeds(player.speed)
        speed = Slider(gui, "speed (x)", (slowest, fastest), step, player.speed)
        follow = gui.add_checkbox("follow the robot", self._stage.follows)

        def pause() -> None:
            player.paused = not player.paused

        acts: dict[str, Callable[[], object]] = {
            "pause": pause,
            "step": lambda: player.step(self._display),
            "reset": lambda: player.reset(self._display),
        }
        buttons.on_click(lambda _: self._ask(f"play {buttons.value}", acts[buttons.value]))

        def set_speed() -> None:
            player.speed = speed.take() or player.speed

        def set_following() -> None:
            self._stage.follows = follow.value

        speed.handle.on_update(lambda _: self._ask("speed", set_speed))
        follow.on_update(lambda _: self._ask("follow", set_following))
        shadows = gui.add_checkbox("shadows", False, hint="slow in a browser without a GPU")
        shadows.on_update(lambda _: self._ask("shadows", lambda: self._stage.set_shadows(shadows.value)))

    def _add_push(self) -> None:
        gui, scene, pushes = self._gui, self._stage.scene, self._simulation.pushes
        drawn = {part.link for part in scene.parts}
        links = [row for row in sorted(scene.moving) if row in drawn] or sorted(scene.moving)
        if not links:
            gui.add_html("No joint moves anything here.")
            return
        names = {f"{terminal(scene.names[row], LONGEST_NAME)} ({row})": row for row in links}
        weight = pushes.forces.weight
        where = gui.add_dropdown("link", tuple(names))
        most = float(f"{5.0 * weight:.1g}")
        force = Slider(gui, "force (N)", (0.0, most), most / 100.0, 0.4 * most)
        force.handle.on_update(lambda _: self._ask("force", force.take))
        first, second = list(DIRECTIONS)[:4], list(DIRECTIONS)[4:]
        for directions in (first, second):
            self._add_directions(directions, lambda: names[where.value], force)
        gui.add_html('<div style="font-size:0.8em;padding:0 0.8em">Or drag the robot with the mouse.</div>')

    def _add_directions(self, directions: list[str], chosen: Callable[[], int], force: Slider) -> None:
        buttons = self._gui.add_button_group("", tuple(directions))

        def pushed(_: Any) -> None:
            link, direction = chosen(), buttons.value
            self._ask("push", lambda: self._simulation.pushes.push(link, direction, force.held))

        buttons.on_click(pushed)

    def _add_environment(self) -> None:
        simulation = self._simulation
        sliders = []
        for name, factor in FACTORS.items():
            value = min(max(simulation.factor(name), factor.low), factor.high)
            slider = Slider(self._gui, factor.label, (factor.low, factor.high), factor.step, value)
            sliders.append((slider.handle, name))
            slider.handle.on_update(self._setter(name, slider))
        undo = self._gui.add_button("undo the changes")

        def undone(_: Any) -> None:
            for slider, name in sliders:
                slider.value = factors.FACTORS[name].neutral
            # No slider shows a change that began in mid-episode.
            self._ask("undo", self._undo)

        undo.on_click(undone)

    def _undo(self) -> None:
        for name in FACTORS:
            self._simulation.set_factor(name, factors.FACTORS[name].neutral)

    def _setter(self, name: str, slider: Slider) -> Callable[[Any], None]:
        return lambda _: self._ask(name, lambda: self._set_factor(name, slider))

    def _set_factor(self, name: str, slider: Slider) -> None:
        before, value = self._simulation.factor(name), slider.take()
        if value is None:
            return
        try:
            self._simulation.set_factor(name, value)
        except Exception:
            slider.put_back(min(max(before, FACTORS[name].low), FACTORS[name].high))
            raise

    def _add_agent(self) -> None:
        gui, simulation = self._gui, self._simulation
        steering = simulation.steering
        assert steering is not None, "checked before"
        if simulation.ghost is not None:
            self._add_ghost()
        planner = gui.add_dropdown("planner", steering.planners, initial_value=steering.planner)

        def choose() -> None:
            try:
                steering.choose_planner(planner.value)
            finally:
                planner.value = steering.planner
            simulation.forget_plan()

        planner.on_update(lambda _: self._ask("planner", choose))
        costs = {"uncertainty": "uncertainty penalty", "action": "control cost"}
        sliders = {
            name: self._add_weight(label, COST_WEIGHTS, steering.cost_weight(name), name, steering.weigh_cost)
            for name, label in costs.items()
        }
        self._uncertainty = sliders["uncertainty"].handle
        self._uncertainty.hint = "has no effect while a goal, or a task that was not learned, is planned for"
        name = terminal(steering.goal, LONGEST_NAME)
        goal = gui.add_text("goal", name, disabled=True, visible=bool(steering.goal))
        hint = "empty: as learned; e.g. less:velocity+0.1*control"
        self._task = gui.add_text("task", steering.task, hint=hint)
        self._advice = gui.add_html("")

        def plan_for() -> None:
            try:
                steering.plan_for(self._task.value)
            finally:
                goal.visible = bool(steering.goal)
                self._show_task()
            simulation.forget_plan()

        button = gui.add_button("plan for this task")
        button.on_click(lambda _: self._ask("task", plan_for))

    def _add_ghost(self) -> None:
        simulation = self._simulation
        ghost = simulation.ghost
        assert ghost is not None, "checked before"
        shown = self._gui.add_checkbox("ghost of the plan", simulation.shows_ghost)
        bounds = ghost.seconds, ghost.seconds * ghost.most_ahead
        ahead = Slider(self._gui, "ghost ahead (s)", bounds, ghost.seconds, ghost.seconds * ghost.ahead)

        def change() -> None:
            simulation.shows_ghost = shown.value
            seconds = ahead.take()
            if seconds is not None:
                ghost.ahead = max(1, round(seconds / ghost.seconds))

        for control in (shown, ahead.handle):
            control.on_update(lambda _: self._ask("ghost", change))

    def _add_weight(
        self,
        label: str,
        bounds: tuple[float, float],
        value: float,
        name: Any,
        weigh: Callable[[Any, float], None],
    ) -> Slider:
        """Adds the slider of a weight, and returns it; a value outside the usual bounds extends them."""
        low, high = min(bounds[0], value), max(bounds[1], value)
        slider = Slider(self._gui, terminal(label, LONGEST_NAME), (low, high), (high - low) / 100.0, value)

        def change() -> None:
            weight = slider.take()
            if weight is not None:
                weigh(name, weight)
                self._simulation.forget_plan()

        slider.handle.on_update(lambda _: self._ask(f"weight {name}", change))
        return slider

    def _show_task(self) -> None:
        """Shows a slider for the weight of each term of the task that is planned for."""
        steering = self._simulation.steering
        assert steering is not None, "terms are those of an agent that plans"
        if self._terms is not None:
            self._terms.remove()
        self._show_advice()
        self._uncertainty.disabled = not steering.pays_for_uncertainty
        with self._agent_folder:
            self._terms = folder = self._gui.add_folder(None)

        def weigh(place: int, weight: float) -> None:
            if self._terms is folder:  # else the slider was moved before its task was replaced
                steering.weigh_term(place, weight)
                self._task.value = steering.task
                self._show_advice()

        with folder:
            for place, (name, weight) in enumerate(zip(steering.terms, steering.weights, strict=True)):
                self._add_weight(name, TERM_WEIGHTS, weight, place, weigh)

    def _show_advice(self) -> None:
        """Shows what the robot does not observe of the costs that are planned for."""
        lines = "".join(
            f"<div>warning: {html.escape(terminal(said, LONGEST_ADVICE))}</div>"
            for said in self._simulation.advice
        )
        self._advice.content = f'<div style="font-size:0.8em;padding:0 0.8em">{lines}</div>' if lines else ""
