"""Film a trained agent: the environment, its return, its surprise, and the energy of its plans.

python render.py RUN                                 one episode, into RUN/videos
python render.py RUN --episodes 3 --seed 7           three episodes, from another seed
python render.py RUN --imagine                       with a ghost in the predicted pose
python render.py RUN --perturb gravity=0.5@300       in an environment that changes
python render.py RUN --perturb mass=2@300 --adapt    detecting the change, and learning while acting
python render.py RUN --planner.kind icem             with another planner
python render.py RUN --task less:velocity            planning for another task; --learn-task 4000 learns it first
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.errors import ConfigError
from agent.seeds import FIRST_SEED
from joule import threads
from joule.arguments import MOST, as_path, whole
from joule.cli import signals
from joule.cli.options import given_settings
from joule.cli.parser import Parser, whole_number
from joule.cli.trained_options import add_changes
from joule.filming.film_file import check_film, check_folder
from joule.output_names import name_parts
from joule.settings import merged
from joule.trained import Request

if TYPE_CHECKING:
    from agent.interface import Agent
    from joule.callbacks.episodes import EpisodeCallback
    from joule.filming.rehearsal import FilmedAgent

WIDTH, HEIGHT = 640, 480
"""Of a frame where nothing else is asked for, in pixels."""
SMALLEST_WIDTH, SMALLEST_HEIGHT = 64, 480
"""Of a frame, in pixels."""
LARGEST_FRAME = 16_384
"""Of a side of a frame, in pixels."""


def parser(arguments: Sequence[str] = ()) -> Parser:
    """The options of this command; `arguments` names the planner whose settings the help shows."""
    p = Parser(prog="render.py", description=__doc__, operands="RUN")
    p.add_argument("--out", type=Path, metavar="FILE", help="the video (default: in RUN/videos)")
    p.add_argument("--episodes", type=whole_number, default=1, metavar="N", help="episodes (default: 1)")
    p.add_argument("--seed", dest="first_seed", type=whole_number, default=FIRST_SEED, metavar="N",
                   help="seed of the first episode; the others follow (default: 10000)")  # fmt: skip
    p.add_argument("--width", type=whole_number, default=WIDTH, metavar="N", help="pixels (default: 640)")
    p.add_argument("--height", type=whole_number, default=HEIGHT, metavar="N",
                   help="pixels, at least 480; the strip is added below (default: 480)")  # fmt: skip
    p.add_argument("--imagine", action="store_true", help="show the predicted state too")
    p.add_argument("--imagine-at", type=whole_number, metavar="DECISION",
                   help="decision of the first prediction (default: a third of the episode)")  # fmt: skip
    add_changes(p, arguments, adapt=True)
    return p


@signals.unwinding()
def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns its exit code. Raises Refused or Stopped, with one sentence."""
    options = parser(arguments).parse(arguments)
    threads.set_variables(threads.of_run(options.run))
    from joule.report.episode_display import EpisodeDisplay

    with EpisodeDisplay("filming", options.episodes, _row) as display:
        path = render(
            options.run,
            options.episodes,
            out=options.out,
            seed=options.first_seed,
            width=options.width,
            height=options.height,
            imagine=options.imagine,
            imagine_at=options.imagine_at,
            settings=given_settings(options),
            learn_task=options.learn_task,
            adapt=options.adapt,
            trust_modules=options.trust_module,
            trust_env_kwargs=options.trust_env_kwargs,
            callback=display,
        )
    print(path)
    return 0


def _row(seed: int, total_return: float, decisions: int) -> str:
    """The line of an episode that was filmed."""
    return f"seed {seed}: return {total_return:,.2f}, {decisions:,} decisions"


def render(
    trained: str | os.PathLike[str] | Agent,
    episodes: int = 1,
    *,
    out: str | os.PathLike[str] | None = None,
    seed: int = FIRST_SEED,
    width: int = WIDTH,
    height: int = HEIGHT,
    imagine: bool = False,
    imagine_at: int | None = None,
    settings: Mapping[str, Any] | None = None,
    learn_task: int | None = None,
    adapt: bool = False,
    trust_modules: Sequence[str] = (),
    trust_env_kwargs: bool = False,
    callback: EpisodeCallback | None = None,
    **keywords: Any,
) -> Path:
    """Films a trained agent, without exploring, and writes a video.

    Args:
        trained: a run folder, one of its checkpoints, or an agent.
        episodes: number of episodes.
        out: the video file, an mp4 or another that `joule.filming.film_file.SUFFIXES` names. By default it is in
            the run folder, named for what it shows; an agent in memory needs one.
        seed: of the first episode; the others follow.
        width: of a frame in pixels.
        height: of a frame in pixels, at least 480; the strip is added below.
        imagine: shows the predicted state too: a ghost, or curves of the readouts.
        imagine_at: decision of the first prediction; by default a third of the episode. It implies `imagine`.
        settings: changes by dotted name, such as {"planner.kind": "icem"}.
        learn_task: updates to learn the task `task` with, or without one to keep `constraint`; by default both
            are only planned for.
        adapt: whether the agent detects changes of its environment, and learns them while acting.
        trust_modules: modules that the run's environment may import although another user made the run.
        trust_env_kwargs: whether its environment may get the keyword arguments in its settings, likewise.
        callback: told how far the film is.
        keywords: settings without a dot, such as `perturb="gravity=0.5@300"` or `task="less:velocity"`.
            Of goals there are `goal`, `learn_goals`, `goal_energy`, `goal_within` and `sub_goal_decisions`.

    Returns:
        The path of the video.

    Raises:
        Refused: for input that cannot be used; its subclasses are ConfigError, RunError, CheckpointError.
        RenderError: without OpenGL or ffmpeg, or when the file cannot be written.
    """
    bounds = {
        "episodes": (episodes, 1),
        "seed": (seed, 0),
        "width": (width, SMALLEST_WIDTH),
        "height": (height, SMALLEST_HEIGHT),
        "imagine-at": (imagine_at, 0),
    }
    for name, (value, least) in bounds.items():
        if value is not None or name != "imagine-at":
            whole(name, value, least, LARGEST_FRAME if name in ("width", "height") else MOST)
    changes = merged(settings, keywords, render)
    request = Request(
        trained,
        changes,
        learn_task=learn_task,
        adapt=adapt,
        trust_modules=trust_modules,
        trust_env_kwargs=trust_env_kwargs,
    )
    if (imagine or imagine_at is not None) and request.config.agent != "joule":
        raise ConfigError(f"imagine: {request.config.agent} has no world model to imagine with; joule has")
    film = None if out is None else as_path("--out", out)
    if film is not None:
        check_film(film)
    elif request.run is None:
        raise ConfigError("out: an agent in memory has no run folder; give the video file")
    else:
        check_folder(request.run.videos)

    # The imports of torch and MuJoCo take seconds; they follow once all of the above is checked.
    from joule.callbacks.episodes import episode_callback
    from joule.filming.recording import record
    from joule.report.film.enlarged import enlargement

    told = episode_callback(callback)
    if adapt or learn_task is not None or request.asked.learn_goals is not None:
        request.check_drawn(width, height)
    loaded = request.load()
    parts = name_parts(changes, learn_task=learn_task, adapt=adapt, seed=seed)
    if film is None:
        assert request.run is not None
        name = film_name(loaded.agent.frames, imagine, imagine_at, parts, episodes, (width, height))
        film = request.run.videos / f"{name}.mp4"
    agent: FilmedAgent = loaded.agent
    if adapt and (adaptive := loaded.adaptive(None if callback is None else callback.note)) is not None:
        agent = adaptive
    env = loaded.make_env(render_mode="rgb_array", width=width, height=height)
    try:
        made = record(
            agent,
            env,
            film,
            episodes=episodes,
            seed=seed,
            imagine=imagine,
            imagine_at=imagine_at,
            callback=callback,
        )
        asked = (width, height)
        drawn = asked if asked == (WIDTH, HEIGHT) else env.render().shape[1::-1]
    finally:
        env.close()
    if drawn != asked:
        factor = enlargement(*drawn)
        larger = f"; the film shows them {factor} times as large" if factor > 1 else ""
        told.note(
            f"the frames are {drawn[0]} x {drawn[1]} pixels, not {width} x {height}: {env.env_spec.env} decides "
            f"their size itself{larger}"
        )
    return made


def film_name(
    frames: int,
    imagine: bool,
    imagine_at: int | None,
    parts: Sequence[str],
    episodes: int = 1,
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> str:
    """The name of a video, from what it shows: the newer film of the same replaces the older.

    Args:
        frames: of training.
        imagine: whether it shows the predicted state.
        imagine_at: decision of the first prediction, where it was chosen.
        parts: see `name_parts`.
        episodes: named where there are several.
        size: width and height in pixels, likewise where it is not the default.
    """
    names = [f"step-{frames}"]
    if imagine or imagine_at is not None:
        names.append("imagine" if imagine_at is None else f"imagine-at-{imagine_at}")
    if episodes != 1:
        names.append(f"episodes-{episodes}")
    if size != (WIDTH, HEIGHT):
        names.append(f"{size[0]}x{size[1]}")
    return "-".join([*names, *parts])
