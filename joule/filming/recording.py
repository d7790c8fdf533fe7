"""Records a film: episodes of an agent as frames with a strip, written as a video."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agent.actor.actor import ActingState
from agent.agent import WorldModelAgent
from agent.errors import ConfigError
from agent.interface import Explainable, Observation, Policy
from agent.memory.columns import map_parts
from agent.seeds import FIRST_SEED
from agent.world_model.adaptation import AdaptiveAgent
from envs.faults.errors import FilmNotWritten
from envs.rendering.ghost import why_none
from envs.rendering.video import write_mp4
from envs.safe_env import SafeEnv
from joule.callbacks.episodes import EpisodeCallback, NoEpisodeCallback
from joule.filming.goal_view import with_goal
from joule.filming.rehearsal import FilmedAgent, Takes
from joule.filming.views import CurveView, PlainView, View, imagination_view
from joule.model_file import shown_name
from joule.report.film import FilmPanel, Story, annotate, fewer
from joule.storage.files import DISK, replacing, why

MOST_DECISIONS = 1_000
"""Decisions of one episode that are filmed at most."""
SLOWEST, FASTEST = 10.0, 60.0
"""Bounds of the frames per second of a video."""
USUAL_SECONDS = 1.0 / 30.0
"""Simulated time of a decision where the environment does not say it."""
LONGEST_SECONDS = 1.0
"""Of a decision in a film; one that takes longer is shown faster than it is."""
ALMOST_ALL = 0.999
"""The largest share that is told before a film is complete."""


@dataclass(frozen=True)
class Pace:
    """Which decisions become frames, so that a video runs at the speed of the simulated time."""

    seconds_per_decision: float

    @property
    def seconds_shown(self) -> float:
        """Of a decision in the video."""
        return min(self.seconds_per_decision, LONGEST_SECONDS)

    @property
    def stride(self) -> int:
        """Decisions per frame, where decisions are fast."""
        return max(1, math.ceil(1.0 / self.seconds_shown / FASTEST - 1e-9))

    @property
    def copies(self) -> int:
        """Frames per decision, where decisions are slow."""
        return max(1, math.ceil(SLOWEST * self.seconds_shown - 1e-9))

    @property
    def frames_per_second(self) -> float:
        """Of the video."""
        return 1.0 / self.seconds_shown / self.stride * self.copies


def record(
    agent: FilmedAgent,
    env: SafeEnv,
    path: str | Path,
    *,
    episodes: int = 1,
    seed: int = FIRST_SEED,
    max_seconds: float | None = None,
    imagine: bool = False,
    imagine_at: int | None = None,
    callback: EpisodeCallback | None = None,
    on_panel: Callable[[FilmPanel], None] | None = None,
) -> Path:
    """Films episodes of an agent, without exploration, and writes a video. An existing video is replaced.

    At most 1,000 decisions of an episode are filmed. Frames are encoded one at a time.

    Args:
        agent: the agent.
        env: made with `render_mode="rgb_array"`.
        path: the video file.
        episodes: number of episodes; episode i begins with seed `seed` + i.
        seed: of the first episode.
        max_seconds: simulated time of an episode that is filmed at most.
        imagine: shows the predicted state too, again and again.
        imagine_at: decision of the first prediction; by default a third of the episode as it is, which is
            played once before it is filmed. An agent that adapts plays it only once: its first prediction is
            made after as many decisions as a prediction lasts. It implies `imagine`.
        callback: told how far the film is.
        on_panel: is given what the strip shows, as the environment is drawn.

    Returns:
        The path of the video.

    Raises:
        RenderError: without OpenGL or ffmpeg, or when the file cannot be written.
        ConfigError: when asked for predictions of an agent without a world model, or from a decision on that
            is not filmed.
    """
    seconds = env.env_spec.seconds_per_decision or USUAL_SECONDS
    longest = min(MOST_DECISIONS, env.env_spec.episode_limit or MOST_DECISIONS)
    if max_seconds is not None:
        longest = max(1, min(longest, round(max_seconds / seconds)))
    if imagine_at is not None and imagine_at >= longest:
        raise ConfigError(f"imagine_at: {imagine_at} is beyond the {longest:,} decisions that are filmed")
    imagined = imagination_view(agent, env, seconds) if imagine or imagine_at is not None else None
    view, why_no_goal = with_goal(agent, env, imagined or PlainView(env), seconds)
    told = callback or NoEpisodeCallback()
    if why_no_goal is not None:
        told.note(f"the film does not show the goal: {why_no_goal}")
    if isinstance(imagined, CurveView):
        told.note(f"the film shows curves of the readouts in place of a ghost: {why_none(env)}")
    takes = Takes(agent, env, longest, imagined, imagine_at)
    pace = Pace(seconds)
    if env.env_spec.seconds_per_decision is None:
        told.note(
            f"the environment does not say how long a step lasts, by dt or render_fps: the film takes "
            f"1/{USUAL_SECONDS**-1:.0f} s a decision"
        )
    if pace.seconds_shown < seconds:
        told.note(f"the film shows a decision of {seconds:,.1f} s in {pace.seconds_shown:g} s")

    def of_all(before: int) -> Callable[[float], None]:
        return lambda share: told.progress(min((before + share) / episodes, ALMOST_ALL))

    def frames() -> Iterator[np.ndarray]:
        story = None
        for number in range(seed, seed + episodes):
            policy, first, progress = takes.prepare(number, of_all(number - seed))
            view.begin(first)
            filmed = _Filmed(agent, policy, env, view, pace, number, longest, on_panel)
            story = yield from _episode(filmed, story, progress)
            told.episode(number, story.total_return, story.decisions)
            cut = story.decisions == longest < (env.env_spec.episode_limit or math.inf)
            if cut and callback is not None:
                told.note(
                    f"the film shows the first {longest:,} decisions of the episode, {longest * seconds:,.3g} s"
                )
            if imagined is not None and story.decisions <= first:
                told.note(
                    f"seed {number}: the film shows no prediction, because the episode ended after "
                    f"{story.decisions:,} decisions and the first prediction is at decision {first:,}"
                )
        told.progress(1.0)

    with _video_file(Path(path)) as temporary:
        write_mp4(temporary, frames(), pace.frames_per_second)
    return Path(path)


@contextmanager
def _video_file(path: Path) -> Iterator[Path]:
    """Yields where to write a video, which gets its own name when it is complete; its folder is made.

    An error of the file system is a RenderError; an error of the block is passed on. Without a video the folder
    does not stay.
    """
    with ExitStack() as stack:
        with _render_errors():
            for folder in reversed([path.parent, *path.parent.parents]):  # the innermost is removed first
                if not folder.exists():
                    stack.callback(_remove_empty, folder)
            DISK.make(path.parent)
            temporary = stack.enter_context(replacing(path))
        yield temporary
        with _render_errors():
            stack.close()


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # it holds something, or was not made
        folder.rmdir()


@contextmanager
def _render_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FilmNotWritten(f"no video was made: {why(error)}") from error


@dataclass(frozen=True)
class _Filmed:
    """An episode that is filmed."""

    agent: FilmedAgent
    policy: Policy
    """Decides: the agent, or its rehearsal."""
    env: SafeEnv
    view: View
    pace: Pace
    seed: int
    longest: int
    """Decisions at most."""
    on_panel: Callable[[FilmPanel], None] | None


def _episode(
    filmed: _Filmed, before: Story | None, progress: Callable[[float], None]
) -> Generator[np.ndarray, None, Story]:
    """The frames of one episode: its start, every `pace.stride`-th decision, and its end.

    Args:
        filmed: the episode.
        before: the story of the episode before, whose scale of energies stays.
        progress: told the share of the episode after every decision.

    Returns:
        The story of this episode.
    """
    agent, env, view, pace = filmed.agent, filmed.env, filmed.view, filmed.pace
    # An agent that adapts learns only from steps that it observes.
    observed: Any = agent.observe(env) if isinstance(agent, AdaptiveAgent) else env
    obs, _ = observed.reset(seed=filmed.seed)
    picture, state, story = view.picture(), None, before
    for step in range(1, filmed.longest + 1):
        action, state = filmed.policy.predict(obs, state, np.array([state is None]), deterministic=True)
        # A rollout begins at the observation that the decision was based on.
        view.decided(_believed(agent, obs, state), action, state)
        if step == 1:
            story = story or Story(
                shown_name(agent.config),
                agent.config.agent,
                pace.seconds_per_decision,
                terms=tuple(_energies(agent, state)),
                surprise=isinstance(state, ActingState),
            )
            story.restart()
            story.perturbations = tuple(env.perturbations)
            yield annotate(picture, panel=story.panel())
        assert story is not None
        obs, reward, terminated, truncated, _ = observed.step(action)
        ended = terminated or truncated or step == filmed.longest
        progress(step / filmed.longest)
        story.perturbations = tuple(env.perturbations)  # also those that began with this step
        shown = ended or step % pace.stride == 0
        energies = _energies(agent, state) if shown else {}
        panel = story.tell(reward, surprise=_surprise(state), energies=energies)
        if shown:
            if filmed.on_panel is not None:
                filmed.on_panel(panel)
            frame = annotate(view.picture(), panel=panel)
            for _ in range(pace.copies):
                yield frame
        if ended:
            break
    assert story is not None, "an episode has at least one decision"
    return story


def _believed(agent: FilmedAgent, obs: Observation, state: Any) -> Observation:
    """The observation [obs] that a decision was based on: inferred, where the agent infers its sensors."""
    if isinstance(agent, (WorldModelAgent, AdaptiveAgent)):
        rows = map_parts(lambda part: part[None], obs)
        return map_parts(lambda part: part[0], agent.modules.inferred_observation(rows, state))
    return obs


def _energies(agent: FilmedAgent, state: Any) -> dict[str, float]:
    """The energy terms of a decision's plan, as many as a film can show."""
    if not isinstance(agent, Explainable):
        return {}
    return fewer({name: float(term[0]) for name, term in agent.explain(state).items()})


def _surprise(state: Any) -> float | None:
    """The surprise of a decision's observation; None at the start, and for an agent that reports none."""
    if isinstance(state, ActingState) and math.isfinite(state.surprise[0]):
        return float(state.surprise[0])
    return None
