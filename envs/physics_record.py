"""A short record of a model's physics and of an environment's spaces, by which a run recognises that they have
been changed since.

`joule_schema.physics_change` compares two of them.
"""

from __future__ import annotations

import hashlib
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.spaces import names_of_parts
from joule_schema.physics_change import RELEASE

DIGITS = 5
"""Significant digits that count: what MuJoCo computes from a file differs in the last ones between processors."""
NOTHING = 1e-10
"""Numbers below it count as 0: where one processor computes 0, another may compute 1e-17."""
ALL = slice(None)
GROUPS: dict[str, tuple[str, ...]] = {
    "masses": ("body_mass", "body_inertia", "body_ipos", "body_iquat", "body_gravcomp"),
    "shapes": ("body_parentid", "body_pos", "body_quat", "geom_type", "geom_size", "geom_pos", "geom_quat"),
    "contacts": (
        "geom_friction", "geom_condim", "geom_contype", "geom_conaffinity", "geom_solref", "geom_solimp",
        "geom_margin", "pair_friction", "pair_geom1", "pair_geom2",
    ),
    "joints": (
        "jnt_type", "jnt_pos", "jnt_axis", "jnt_limited", "jnt_range", "jnt_stiffness", "qpos0", "qpos_spring",
        "dof_damping", "dof_armature", "dof_frictionloss",
    ),
    "tendons and constraints": (
        "tendon_stiffness", "tendon_damping", "tendon_range", "wrap_objid", "wrap_prm", "eq_type", "eq_obj1id",
        "eq_obj2id", "eq_data",
    ),
    "actuators": (
        "actuator_trntype", "actuator_trnid", "actuator_gear", "actuator_dyntype", "actuator_dynprm",
        "actuator_gainprm", "actuator_biasprm", "actuator_ctrlrange", "actuator_forcerange",
    ),
    "actuators' switches": (
        "actuator_ctrllimited", "actuator_forcelimited", "actuator_actlimited", "actuator_actrange",
        "actuator_cranklength",
    ),
    "constraints' switches": ("eq_active0", "eq_solref", "eq_solimp", "tendon_limited", "wrap_type"),
    "sites": ("site_bodyid", "site_pos", "site_quat"),
    "sensors": (
        "sensor_type", "sensor_objtype", "sensor_objid", "sensor_reftype", "sensor_refid", "sensor_dim",
        "sensor_cutoff",
    ),
    "poses of the start": ("key_qpos", "key_qvel", "key_act"),
}  # fmt: skip
"""What is recorded together -> fields of `mujoco.MjModel`. Of geoms those that can touch something are recorded, of
sites those that something refers to. A group keeps its fields: with others all records would differ."""
OPTIONS = ("timestep", "gravity", "wind", "density", "viscosity", "integrator", "disableflags")
"""Fields of `mujoco.MjOption`, recorded as `options`."""
MORE_OPTIONS = ("cone", "impratio", "enableflags")
"""Likewise, as `options of contacts`."""


def physics_record(model: Any) -> dict[str, str]:
    """Group -> a hash of the numbers in it; and the release of MuJoCo.

    Args:
        model: a `mujoco.MjModel`.
    """
    import mujoco

    rows = {"geom": (model.geom_contype | model.geom_conaffinity) > 0, "site": _sites_used(model)}
    fields = {
        group: [np.asarray(getattr(model, name))[rows.get(name.partition("_")[0], ALL)] for name in names]
        for group, names in GROUPS.items()
    }
    fields["options"] = [np.asarray(getattr(model.opt, name)) for name in OPTIONS]
    fields["options of contacts"] = [np.asarray(getattr(model.opt, name)) for name in MORE_OPTIONS]
    return {RELEASE: mujoco.__version__} | {group: _hash(values) for group, values in fields.items()}


def space_record(env: gymnasium.Env[Any, Any]) -> dict[str, str]:
    """Hashes of what an environment's spaces mean, which their sizes do not say: group -> hash.

    They are the bounds of the actions, and the names of the parts of an observation in their order.

    Args:
        env: with the spaces that the user gave it.
    """
    actions, found = env.action_space, {}
    if isinstance(actions, spaces.Box):
        found["action bounds"] = _hash([actions.low, actions.high])
    if names := names_of_parts(env.observation_space):
        found["parts of the observation"] = hashlib.sha256(repr(names).encode()).hexdigest()[:16]
    return found


def _sites_used(model: Any) -> np.ndarray:
    """The rows of the sites that an actuator, a sensor, a tendon or a constraint refers to."""
    from mujoco import mjtEq, mjtObj, mjtTrn, mjtWrap

    site = int(mjtObj.mjOBJ_SITE)
    of_sites = np.isin(model.actuator_trntype, [int(mjtTrn.mjTRN_SITE), int(mjtTrn.mjTRN_SLIDERCRANK)])
    welds = np.isin(model.eq_type, [int(mjtEq.mjEQ_CONNECT), int(mjtEq.mjEQ_WELD)]) & (
        model.eq_objtype == site
    )
    used = np.concatenate((
        model.actuator_trnid[of_sites].reshape(-1),
        model.sensor_objid[model.sensor_objtype == site],
        model.sensor_refid[model.sensor_reftype == site],
        model.wrap_objid[model.wrap_type == int(mjtWrap.mjWRAP_SITE)],
        model.eq_obj1id[welds],
        model.eq_obj2id[welds],
    ))  # fmt: skip
    return np.unique(used[used >= 0])


def _hash(values: list[np.ndarray]) -> str:
    text = ";".join(",".join(map(_digits, np.asarray(of, np.float64).flat)) for of in values)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _digits(value: float) -> str:
    return f"{value:.{DIGITS}g}" if abs(value) > NOTHING else "0"
