"""A goal as the command line writes it, found for an agent."""

from __future__ import annotations

import difflib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agent.cost.goal import EXAMPLES, Goal
from agent.cost.readouts import TaskError
from agent.cost.term_arguments import numbers
from agent.errors import ConfigError
from joule_errors import Advice

if TYPE_CHECKING:
    from torch import Tensor

    from agent.agent import WorldModelAgent
    from agent.interface import Observation

REMEMBERED = ("readout", "episode")
"""Kinds of goals that are moments in the replay buffer."""
FAR = 1.0
"""Standard deviations of a readout from what was asked for, beyond which the nearest moment is no answer to it."""
OTHER_SHAPE = 0.05
"""Share by which width over height of a picture may differ from what the agent sees."""
SHOWN = 80
"""Characters at most of a path in a message."""
MOST_DIGITS = 40
"""Characters at most of the numbers of a moment."""


def check_text(text: str) -> tuple[str, str]:
    """The kind of a goal and the rest of its text. Raises ConfigError for a text that is no goal."""
    kind, colon, rest = text.partition(":")
    kind, rest = kind.strip(), rest.strip()
    if not colon or not rest or kind not in EXAMPLES:
        near = difflib.get_close_matches(kind, EXAMPLES, n=1, cutoff=0.5)
        hint = f"; did you mean {EXAMPLES[near[0]]}?" if near else ""
        raise ConfigError(f"goal: {text[:80]!r} is none of {', '.join(EXAMPLES.values())}{hint}")
    return kind, rest


def goal_of(text: str, agent: WorldModelAgent) -> Goal:
    """The goal that a text names.

    `readout:NAME=V,...` is the remembered moment whose readouts are nearest to these values. `episode:K@T` is
    decision T of episode K in the replay buffer, both counted from 0. `image:FILE` is a picture of what the camera
    would see, for an agent that observes pixels alone. `observation:FILE` is an array of NumPy [obs], or, where the
    agent observes several parts, an .npz file with an array of each by name.

    Args:
        text: the goal.
        agent: has experience, and what it observes decides which files fit.

    Raises:
        ConfigError: for a text that is no goal, a moment that is not remembered, and a file that cannot be used.
        TaskError: for a readout that the environment does not have, for readouts that never vary, and for an agent
            from data without readouts.
    """
    kind, rest = check_text(text)
    found = {"readout": _readout, "episode": _moment, "image": _image, "observation": _array}[kind]
    return Goal(found(rest, agent), name=text)


def _readout(rest: str, agent: WorldModelAgent) -> Observation:
    import torch

    from agent.configurator.readout_checks import check_readouts
    from agent.memory.columns import has_readouts
    from agent.perception.normalizer import is_rounding

    layout, buffer = agent.modules.layout(), agent.modules.replay_buffer
    places = _remembered(f"readout:{rest[:80]}", agent)
    check_readouts(agent.modules, f"goal: {rest[:80]!r}")
    places = places[has_readouts(buffer.readout[places])]
    rows = torch.from_numpy(buffer.readout[places])
    asked: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    distance = torch.zeros(len(rows), dtype=torch.float64)
    varies = False
    for part in _parts(rest):
        name, _, values = part.partition("=")
        name = name.strip()
        if name in asked:
            raise ConfigError(f"goal: {rest[:80]!r} has {name} twice; give it once")
        value = layout.value(name, rows)
        if value is None:
            raise TaskError(f"goal: {layout.unknown(name[:80], agent.env_spec.env, of_costs=False)}")
        if not values:
            raise TaskError(f"goal: {part[:80]!r} gives no value; give one, as in {name}=0")
        wanted = value.new_tensor(numbers("goal", name, values))
        if len(wanted) != value.shape[1]:
            raise TaskError(f"goal: {_other_count(name, len(wanted), value)}")
        # Readouts of different units count by how much they vary. One that does not vary favours no moment.
        spread, mean = torch.std_mean(value.double(), 0, correction=0)
        counts = ~is_rounding(spread, mean)
        away = layout.apart(name, value, wanted).double()
        own = (away[:, counts] / spread[counts]).square().sum(-1)
        distance += own
        asked[name] = value, own
        varies = varies or bool(counts.any())
    if not varies:
        raise TaskError(
            f"goal: {rest[:80]!r} names nothing that differs between the moments that this agent remembers; name a "
            "readout that varies, or a moment such as episode:3@80"
        )
    nearest = int(distance.argmin())
    far = {name: value[nearest].tolist() for name, (value, own) in asked.items() if own[nearest] > FAR**2}
    if far:
        there = ", ".join(f"{name}={','.join(f'{x:.3g}' for x in values)}" for name, values in far.items())
        said = f"goal: {rest[:80]!r} is far from all that is remembered; the nearest moment has {there}"
        warnings.warn(said, Advice, stacklevel=4)
    return _row(buffer.observations(places[nearest][None]))


def _other_count(name: str, found: int, value: Tensor) -> str:
    """What is said of a readout that has another count of numbers, with values [moments, numbers] to go by."""
    count = value.shape[1]
    said = f"{name} has {count} number{'s' * (count > 1)}, found {found}"
    seen = ",".join(f"{x:.3g}" for x in value[len(value) // 2].tolist())
    first = f", and {name}.0 names the first" if count > found else ""
    return f"{said}; one that is remembered is {name}={seen}{first}"


def _remembered(wanted: str, agent: WorldModelAgent) -> np.ndarray:
    """Places [moments] in the replay buffer, in order. Raises ConfigError where it is empty, for what is wanted."""
    from agent.learning.goal_learning import order_of

    places = order_of(agent.modules.replay_buffer)
    if not len(places):
        raise ConfigError(
            f"goal: {wanted} is looked for in the replay buffer, and that of this agent is empty (an agent in its "
            "shared form has none); give observation:FILE, or an agent that has one"
        )
    return places


def _parts(rest: str) -> list[str]:
    """`a=1,2,b=3` as `a=1,2` and `b=3`."""
    parts: list[str] = []
    for piece in rest.split(","):
        if "=" in piece or not parts:
            parts.append(piece)
        else:
            parts[-1] += f",{piece}"
    return parts


def _moment(rest: str, agent: WorldModelAgent) -> Observation:
    episode, at, decision = rest.partition("@")
    if not (at and episode.isdecimal() and decision.isdecimal() and len(rest) <= MOST_DIGITS):
        raise ConfigError(f"goal: {rest[:80]!r} is no moment such as {EXAMPLES['episode']}")
    buffer = agent.modules.replay_buffer
    places = _remembered(f"episode:{rest}", agent)
    ends = np.flatnonzero(buffer.last[places])
    number, step = int(episode), int(decision)
    if number >= len(ends):
        raise ConfigError(
            f"goal: there is no episode {number}; the replay buffer has {len(ends)}, counted from 0"
        )
    begin = 0 if number == 0 else int(ends[number - 1]) + 1
    if begin + step > ends[number]:
        raise ConfigError(f"goal: episode {number} has {ends[number] - begin} decisions, not {step}")
    return _row(buffer.observations(places[begin + step][None]))


def _image(rest: str, agent: WorldModelAgent) -> Observation:
    from envs.rendering.scaled import scaled
    from joule.storage.goal_file import read_picture

    parts = agent.env_spec.observation
    if len(parts) != 1 or len(parts[0].shape) != 3:
        names = ", ".join(part.name for part in parts)
        raise ConfigError(
            f"goal: the agent observes {names}, and a picture is a goal where it observes pixels alone"
        )
    channels, height, width = parts[0].shape
    stack = parts[0].stack
    try:
        picture, colours = read_picture(Path(rest), grey=channels == stack)
    except ValueError as error:
        raise ConfigError(f"goal: {_short(rest)} {error}") from None
    high, wide = picture.shape[1:]
    # What an environment without physics draws has a shape of its own, and is seen squeezed just so.
    drawn = agent.config.obs == "pixels" and not getattr(agent.env_spec, "mujoco", True)
    if not drawn and abs(wide * height / (high * width) - 1.0) > OTHER_SHAPE:
        said = (
            f"goal: {rest} has {wide} x {high} pixels, and is squeezed into {width} x {height}; give a "
            "picture of the shape that the agent sees"
        )
        warnings.warn(said, Advice, stacklevel=4)
    if len(picture) == 3 and not colours:
        said = f"goal: {rest} is grey, and the agent sees colours; give a picture with its colours"
        warnings.warn(said, Advice, stacklevel=4)
    return np.concatenate([scaled(picture, width, height)] * stack)


def _array(rest: str, agent: WorldModelAgent) -> Observation:
    from joule.storage.goal_file import read_array
    from joule.storage.npz_file import read_arrays

    names = [part.name for part in agent.env_spec.observation]
    try:
        if len(names) == 1:
            return read_array(Path(rest))
        found = read_arrays(Path(rest), names)
        if missing := [name for name in names if name not in found]:
            raise ValueError(f"has no array {missing[0]}; this agent observes {', '.join(names)}")
        return found
    except ValueError as error:
        raise ConfigError(f"goal: {_short(rest)} {error}") from None


def _short(path: str) -> str:
    """The end of a path, which names the file."""
    return path if len(path) <= SHOWN else f"...{path[-SHOWN:]}"


def _row(observation: Observation) -> Observation:
    """The only row of a batch."""
    from agent.memory.columns import map_parts

    found: Observation = map_parts(lambda part: part[0].copy(), observation)
    return found
