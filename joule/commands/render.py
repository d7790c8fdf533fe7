"""Film a trained agent: its body, what it earns, how surprised it is, and the energy behind its plans.

python render.py RUN                                 one episode, into RUN/videos
python render.py RUN --episodes 3 --seed 7           three, from a seed of your own
python render.py RUN --imagine                       with a ghost: what the agent foresaw
python render.py RUN --perturb gravity=0.5@300       in a world that changes
python render.py RUN --perturb mass=2@300 --adapt    noticing it, and learning the new world while acting
python render.py RUN --planner.kind icem             searched for by another planner
python render.py RUN --task less:velocity            another task, planned for; --learn-task 4000 learns it first
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from agent.errors import ConfigError
from agent.seeds import FIRST_SEED
from joule.cli.options import (
    Parser,
    add_adapt,
    add_changes,
    check_adapt,
    check_planning,
    check_task,
    given_settings,
    in_names,
    whole_number,
)

if TYPE_CHECKING:
    import numpy as np

    from agent.agent import WorldModelAgent
    from agent.interface import Agent
    from envs import SafeEnv
    from joule.report.film import Story

MOST_DECISIONS = 1_000
"""The longest film of one episode."""
LINES_EVERY = 10.0
"""Seconds between lines that say how far a film is."""
SLOWEST, FASTEST = 10.0, 60.0
"""Frames a second of a video; it always runs as fast as the world it shows."""
SECONDS_AHEAD, LEAST_AHEAD, MOST_AHEAD = 1.0, 15, 25
"""How far one imagining reaches: a second of the world, within bounds in decisions."""
CALIBRATION_PAIRS = 128


def record(
    learner: Any,
    body: Any,
    path: str | Path,
    *,
    episodes: int = 1,
    seed: int = FIRST_SEED,
    max_seconds: float | None = None,
    imagine: bool = False,
    imagine_at: int | None = None,
    on_episode: Callable[[int, float, int], None] | None = None,
    on_step: Callable[[int, int, int], None] | None = None,
) -> Path:
    """Films `episodes` of `learner` acting in `body`, without exploring, and returns the video's path.

    Episode i begins with seed `seed` + i and is filmed for at most 1,000 decisions, or `max_seconds` of the
    world's time; `on_step` is told its seed, how many are done and how many at most there will be, and
    `on_episode` then its seed, return and decisions. With `imagine` the film shows what
    the agent foresaw, again and again from decision `imagine_at` on, by default from a third of the episode.
    The body must have been made with `render_mode="rgb_array"`. Frames go to the encoder one at a time. An
    existing video is replaced.

    Raises RenderError when there is no OpenGL or no ffmpeg or the file cannot be written, ConfigError when
    asked to imagine with an agent that has no world model, or from a decision on that is not filmed.
    """
    from envs.rendering.frames import write_mp4

    seconds = body.env_spec.seconds_per_decision or 1.0 / 30.0
    longest = min(MOST_DECISIONS, body.env_spec.episode_limit or MOST_DECISIONS)
    if max_seconds is not None:
        longest = max(1, min(longest, round(max_seconds / seconds)))
    if imagine_at is not None and imagine_at >= longest:
        raise ConfigError(f"imagine_at: {imagine_at} is beyond the {longest:,} decisions that are filmed")
    view: View = PlainView(body)
    if imagine or imagine_at is not None:
        view = imagination_view(learner, body, seconds, longest // 3 if imagine_at is None else imagine_at)
    pace = Pace(seconds)

    def frames() -> Iterator[np.ndarray]:
        story = None
        for number in range(seed, seed + episodes):
            story = yield from film(learner, body, view, pace, number, longest, story, on_step)
            if on_episode is not None:
                on_episode(number, story.total_return, story.decisions)

    write_mp4(path, frames(), pace.frames_per_second)
    return Path(path)


class Pace:
    """Which decisions of an episode become frames, so that a video runs at the world's own speed."""

    def __init__(self, seconds_per_decision: float) -> None:
        self.seconds_per_decision = seconds_per_decision
        rate = 1.0 / seconds_per_decision
        self.stride = max(1, math.ceil(rate / FASTEST - 1e-9))
        """Decisions per frame, where they are quick."""
        self.copies = max(1, math.ceil(SLOWEST / rate - 1e-9))
        """Frames per decision, where they are slow."""
        self.frames_per_second = rate / self.stride * self.copies


def inferred(learner: Any, obs: np.ndarray, state: Any) -> np.ndarray:
    """The observation [obs] that a decision was based on, by an agent that infers what its sensors read."""
    from agent.agent import WorldModelAgent
    from agent.world_model.adaptation import AdaptiveAgent

    if isinstance(learner, (WorldModelAgent, AdaptiveAgent)):
        found: np.ndarray = learner.modules.inferred_observation(obs[None], state)[0]
        return found
    return obs


def explained(learner: Any, state: Any) -> dict[str, float]:
    """The energy terms of a decision's plan, as many as a film can show."""
    from joule.report.film import fewer

    from agent.interface import Explainable

    if not isinstance(learner, Explainable):
        return {}
    return fewer({name: float(term[0]) for name, term in learner.explain(state).items()})


def film(
    learner: Any,
    body: Any,
    view: View,
    pace: Pace,
    seed: int,
    longest: int,
    told: Story | None,
    on_step: Callable[[int, int, int], None] | None,
) -> Generator[np.ndarray, None, Story]:
    """The frames of one episode: its start, every `pace.stride`-th decision, and its end.

    Returns the story it told. `told` is that of the episode before, whose scale of energies goes on.
    """
    import numpy as np

    from joule.report.film import Story, annotate

    from agent.world_model.adaptation import AdaptiveAgent

    lived = learner.observe(body) if isinstance(learner, AdaptiveAgent) else body
    obs, _ = lived.reset(seed=seed)
    view.begin()
    picture, state = view.picture(), None
    for step in range(1, longest + 1):
        action, state = learner.predict(obs, state, np.array([state is None]), deterministic=True)
        # What is imagined begins at what was believed.
        view.decided(inferred(learner, obs, state), action)
        if step == 1:
            story = told or Story(
                body.env_spec.env,
                learner.config.agent,
                pace.seconds_per_decision,
                terms=tuple(explained(learner, state)),
                surprise=hasattr(state, "surprise"),
            )
            story.restart()
            yield annotate(picture, panel=story.panel())
        obs, reward, terminated, truncated, _ = lived.step(action)
        ended = terminated or truncated or step == longest
        if on_step is not None:
            on_step(seed, step, longest)
        shown = ended or step % pace.stride == 0
        energies = explained(learner, state) if shown else {}
        panel = story.tell(reward, surprise=surprise_of(state), energies=energies)
        if shown:
            frame = annotate(view.picture(), panel=panel)
            for _ in range(pace.copies):
                yield frame
        if ended:
            break
    return story


def surprise_of(state: Any) -> float | None:
    """How unexpected a decision's observation was; None for an agent that does not say, or at a start."""
    value = getattr(state, "surprise", None)
    return float(value[0]) if value is not None and math.isfinite(value[0]) else None


class View(Protocol):
    """What is drawn of a body; told of each decision before it is taken."""

    def begin(self) -> None: ...

    def decided(self, obs: np.ndarray, action: np.ndarray) -> None: ...

    def picture(self) -> np.ndarray:
        """The frame now, uint8 [height, width, 3], without the strip."""
        ...


class PlainView:
    """The body as it is."""

    def __init__(self, body: SafeEnv) -> None:
        self.body = body

    def begin(self) -> None:
        pass

    def decided(self, obs: np.ndarray, action: np.ndarray) -> None:
        pass

    def picture(self) -> np.ndarray:
        return self.body.render()


def imagination_view(learner: Any, body: SafeEnv, seconds: float, first: int) -> View:
    """A view of what happened and what was foreseen: a ghost, or curves for a body that can have none."""
    from envs.rendering import ghost

    if not isinstance(learner, Explainable):
        raise ConfigError(f"imagine: {learner.config.agent} has no world model to imagine with; joule has")
    rollouts = ImaginedRollouts(learner, body, seconds, first)
    return GhostView(rollouts) if ghost.can_appear(body) else CurveView(rollouts)


class ImaginedRollouts:
    """When the agent imagines, and what it foresees: from decision `first` on, for as long again as it rests.

    An imagining starts from one observation and follows the actions that were really taken, so that what is
    seen to differ is the world model's error alone.
    """

    def __init__(self, learner: Any, body: SafeEnv, seconds: float, first: int) -> None:
        self.learner, self.body, self.seconds, self.first = learner, body, seconds, first
        self.ahead = min(max(round(SECONDS_AHEAD / seconds), LEAST_AHEAD), MOST_AHEAD)
        edges, self.where = 0, {}
        for name, size in body.env_spec.readout_sizes.items():
            self.where[name] = slice(edges, edges + size)
            edges += size
        self.begin()

    def begin(self) -> None:
        self.step = 0
        self.obs: np.ndarray | None = None
        self.actions: list[np.ndarray] = []

    def decided(self, obs: np.ndarray, action: np.ndarray) -> bool:
        """Takes in a decision; returns whether an imagining starts with it."""
        since = self.step - self.first
        starts = since >= 0 and since % (2 * self.ahead) == 0
        self.step += 1
        if starts:
            self.obs, self.actions = obs, []
        if len(self.actions) == self.ahead:
            self.obs, self.actions = None, []
        if self.obs is not None:
            self.actions.append(action)
        return starts

    def predicted(self) -> np.ndarray | None:
        """Readouts [steps + 1, readouts] from the imagining's start until now; None while it rests."""
        import numpy as np

        return None if self.obs is None else self.learner.imagine(self.obs, np.stack(self.actions))

    def changes(self) -> tuple[np.ndarray, np.ndarray]:
        """How readouts changed in memory over the time of an imagining: as they read, and in truth.

        Each [pairs, readouts]; none before the agent has lived.
        """
        import numpy as np

        replay_buffer, none = (
            self.learner.modules.replay_buffer,
            np.zeros((0, self.body.env_spec.action_size), np.float32),
        )
        # Two rows are of one episode when as many episodes ended before one as before the other.
        ends = np.concatenate([[0], np.cumsum(replay_buffer.last[: len(replay_buffer)])])
        first = np.arange(max(len(replay_buffer) - self.ahead, 0))
        first = first[ends[first] == ends[first + self.ahead]]
        first = first[np.linspace(0, len(first) - 1, min(len(first), CALIBRATION_PAIRS)).astype(int)]
        read = [
            self.learner.imagine(replay_buffer.obs[row + self.ahead], none)[0]
            - self.learner.imagine(replay_buffer.obs[row], none)[0]
            for row in first
        ]
        true = replay_buffer.readout[first + self.ahead] - replay_buffer.readout[first]
        return np.reshape(read, true.shape), true


class GhostView:
    """The body with a ghost where the agent foresaw it to be."""

    def __init__(self, rollouts: ImaginedRollouts) -> None:
        from envs.rendering.ghost import Ghost

        self.rollouts, self.body = rollouts, rollouts.body
        self.ghost = Ghost(self.body)
        read, true = rollouts.changes()
        where = rollouts.where["qpos"]
        self.readable = self.ghost.readable(read[:, where], true[:, where])

    def begin(self) -> None:
        self.rollouts.begin()

    def decided(self, obs: np.ndarray, action: np.ndarray) -> None:
        if self.rollouts.decided(obs, action):
            self.start = self.ghost.present()

    def picture(self) -> np.ndarray:
        from joule.report.imagination import caption

        predicted = self.rollouts.predicted()
        if predicted is None:
            return self.body.render()
        where, seconds = self.rollouts.where, self.rollouts.seconds
        qpos, qvel = predicted[:, where["qpos"]], predicted[:, where["qvel"]]
        place = self.ghost.predicted(self.start, qpos, qvel, seconds, self.readable)
        steps = len(predicted) - 1
        ago = f"{steps} step{'s' if steps > 1 else ''} ago"
        off = f"{100 * self.ghost.distance(place):.0f} cm off"
        return caption(self.ghost.draw(place), f"ghost: what the agent foresaw {ago}, {off}")


class CurveView:
    """The body beside curves of its readouts, as they were and as they were foreseen."""

    def __init__(self, rollouts: ImaginedRollouts) -> None:
        from joule.report.imagination import Curves

        self.rollouts, self.body = rollouts, rollouts.body
        self.curves = Curves(self.body.env_spec.readout_sizes, span=100)

    def begin(self) -> None:
        self.rollouts.begin()
        self.curves.restart()

    def decided(self, obs: np.ndarray, action: np.ndarray) -> None:
        self.rollouts.decided(obs, action)

    def picture(self) -> np.ndarray:
        from joule.report.film import side_by_side

        predicted = self.rollouts.predicted()
        self.curves.tell(self.body.readouts(), None if predicted is None else predicted[-1])
        frame = self.body.render()
        chart = self.curves.draw(frame.shape[1], frame.shape[0])
        return side_by_side(
            [frame, chart], ["what happened", "readouts: as they were (line), as foreseen (dots)"]
        )


def parser() -> Parser:
    """The options of this door."""
    p = Parser(prog="render.py", description=__doc__)
    p.add_argument("run", type=Path, metavar="RUN", help="a run folder, or one of its checkpoints/step-<n>")
    p.add_argument("--out", type=Path, metavar="FILE", help="the video (default: in RUN/videos)")
    p.add_argument("--episodes", type=whole_number, default=1, metavar="N", help="episodes (default: 1)")
    p.add_argument("--seed", dest="first_seed", type=whole_number, default=FIRST_SEED, metavar="N",
                   help="seed of the first; the others follow (default: 10000)")  # fmt: skip
    p.add_argument("--width", type=whole_number, default=640, metavar="N", help="pixels (default: 640)")
    p.add_argument("--height", type=whole_number, default=480, metavar="N",
                   help="pixels, at least 480; a strip comes below (default: 480)")  # fmt: skip
    p.add_argument("--imagine", action="store_true", help="show what the agent foresaw, too")
    p.add_argument("--imagine-at", type=whole_number, metavar="STEP",
                   help="decision of the first imagining (default: a third into the episode)")  # fmt: skip
    add_changes(p)
    add_adapt(p)
    return p


def main(arguments: Sequence[str]) -> int:
    options = parser().parse(arguments)
    changes = given_settings(options)
    task = changes.pop("task", None)
    check_task(task, options.learn_task)
    least = {"episodes": 1, "seed": 0, "width": 64, "height": 480, "imagine_at": 0}
    for name, low in least.items():
        value = getattr(options, name if name != "seed" else "first_seed")
        if value is not None and value < low:
            raise ConfigError(f"--{name.replace('_', '-')}: {value} is less than {low}")

    from joule.storage.run_folder import Run, located

    run = Run.open(located(options.run)[0], trust_modules=options.trust_module)

    check_adapt(options.adapt, run.config)
    check_planning(changes, run.config)
    if (options.imagine or options.imagine_at is not None) and run.config.agent != "joule":
        raise ConfigError(f"imagine: {run.config.agent} has no world model to imagine with; joule has")

    # From here on it is heavy: torch and MuJoCo are imported once all of the above is settled.
    os.environ.setdefault("OMP_NUM_THREADS", str(run.config.threads))
    import torch

    from agent.training_env import check_spec
    from joule.environment import make_env
    from joule.storage.loading import load_changed

    torch.set_num_threads(run.config.threads)
    learner, world = load_changed(options.run, changes, task, options.learn_task, options.trust_module)
    drawn = make_env(world, render_mode="rgb_array", width=options.width, height=options.height)
    body: Any = check_spec(learner.env_spec, drawn, learner.config.agent)
    name = film_name(learner.frames, options)
    if options.adapt:
        assert isinstance(learner, WorldModelAgent)
        learner = learner.adapt()
    try:
        path = record(
            learner,
            body,
            options.out or run.videos / f"{name}.mp4",
            episodes=options.episodes,
            seed=options.first_seed,
            imagine=options.imagine,
            imagine_at=options.imagine_at,
            on_episode=lambda number, total, steps: print(
                f"seed {number}: return {total:,.2f}, {steps:,} decisions"
            ),
            on_step=patiently(print),
        )
    finally:
        body.close()
    print(path)
    return 0


def patiently(say: Callable[[str], None]) -> Callable[[int, int, int], None]:
    """Tells how far a film is, every `LINES_EVERY` seconds: drawing without a GPU takes its time."""
    due = time.monotonic() + LINES_EVERY

    def told(seed: int, done: int, longest: int) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + LINES_EVERY
            say(f"seed {seed}: {done:,} of {longest:,} decisions filmed")

    return told


def film_name(frames: int, options: argparse.Namespace) -> str:
    """A video's name from what it shows: the same options replace the same video, others do not."""
    parts = [f"step-{frames}"]
    if options.imagine or options.imagine_at is not None:
        at = options.imagine_at
        parts.append("imagine" if at is None else f"imagine-at-{at}")
    return "-".join([*parts, *in_names(options, options.first_seed)])
