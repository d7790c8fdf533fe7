"""Changed worlds of any MuJoCo robot: perturbations that follow from its model, or are given and checked.

A world is a perturbation as text (`gravity=2`), of an environment whose agent was trained without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.comprehension.subjects import feels_gravity, moving_trees
from envs.changes.factors import FACTORS, parse
from envs.physics import find_physics
from envs.safe_env import SafeEnv
from joule_errors import Refused

TORSO, MOTOR = "{torso}", "{motor}"
"""Stand in a default world for the heaviest body, and for the motor of the largest force."""
DEFAULTS = (
    "gravity=2", "gravity=1.5", "gravity=0.5", f"mass.{TORSO}=2", "mass=1.5", "friction=0.33", "damping=5",
    "gain=0.5", f"dead={MOTOR}", "latency={decision}",
)  # fmt: skip
"""The ten default worlds. A latency is one decision long."""


FEW = slice(1, None, 2)
"""The default worlds for benchmarks in which an agent learns each of them."""


def worlds_for(
    env: SafeEnv, given: Sequence[str] | None = None, of_defaults: slice = slice(None)
) -> tuple[str, ...]:
    """The worlds of an environment.

    Args:
        env: the environment; it is reset.
        given: perturbations as text; None for the default ones that change something here.
        of_defaults: which of the default ones.

    Raises:
        Refused: for a perturbation that is malformed, draws its value, has nothing to act on or changes nothing
            here, and for an environment in which no default one does.
    """
    env.reset(seed=0)
    if given is not None:
        for text in given:
            if why := why_not(env, text):
                raise Refused(f"world {text!r} changes nothing in {env.env_spec.env}: {why}")
            env.perturb(text)
            env.unperturb()
        return tuple(given)
    found = tuple(text for text in default_worlds(env, of_defaults) if why_not(env, text) is None)
    if not found:
        raise Refused(f"{env.env_spec.env} has no default world; give perturbations")
    return found


def default_worlds(env: SafeEnv, which: slice = slice(None)) -> list[str]:
    """The default worlds as text, those that change nothing here included; `which` of DEFAULTS."""
    names = {"{decision}": str(env.env_spec.action_repeat)}
    physics = find_physics(env)
    if physics is not None:
        names |= {TORSO: torso(physics.model), MOTOR: motor(physics.model)}
    found = []
    for text in DEFAULTS[which]:
        for mark, name in names.items():
            text = text.replace(mark, name)
        if "{" not in text and "mass.=" not in text:
            found.append(text)
    return found


def torso(model: Any) -> str:
    """Name of the heaviest body that moves and has a name; empty where there is none."""
    moving = [body for tree in moving_trees(model) for body in tree if model.body(body).name]
    return str(model.body(max(moving, key=lambda body: model.body_mass[body])).name) if moving else ""


def motor(model: Any) -> str:
    """Name of the motor of the largest force, or its index where it has no name or another one has it."""
    if not model.nu:
        return "0"
    forces = np.abs(model.actuator_gear[:, 0] * model.actuator_gainprm[:, 0])
    strongest = int(forces.argmax())
    return model.actuator(strongest).name or str(strongest)


def why_not(env: SafeEnv, text: str) -> str | None:
    """Why a perturbation changes nothing in an environment; None where it does.

    Raises:
        Refused: for a perturbation that is malformed.
    """
    perturbation = parse(text)
    if FACTORS[perturbation.factor].scale is None:
        return None
    physics = find_physics(env)
    if physics is None:
        return "it has no MuJoCo physics"
    model = physics.model
    match perturbation.factor:
        case "gravity" if not feels_gravity(model, np.arange(model.nv)):
            return "gravity moves none of its joints"
        case "friction" if not _can_touch(model):
            return "none of its bodies can touch anything"
        case "damping" if not model.dof_damping.any():
            return "none of its joints is damped"
        case "gain" | "dead" if not model.nu:
            return "it has no motor"
    return None


def _can_touch(model: Any) -> bool:
    """Whether a geom of a body that moves can be in contact with one of another body."""
    moving = {body for tree in moving_trees(model) for body in tree}
    of_moving = np.isin(model.geom_bodyid, list(moving))
    contype, affinity = model.geom_contype, model.geom_conaffinity
    meets = (contype[:, None] & affinity[None, :]) | (affinity[:, None] & contype[None, :])
    other = model.geom_bodyid[:, None] != model.geom_bodyid[None, :]
    return bool(model.npair) or bool((meets.astype(bool) & other & of_moving[:, None]).any())
