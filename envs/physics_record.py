"""A short record of a MuJoCo model's physics, by which a run recognises that its robot has been changed since.

`joule_schema.physics_change` compares two of them.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

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
}  # fmt: skip
"""What is recorded together -> fields of `mujoco.MjModel`. Of geoms those that can touch something are recorded."""
OPTIONS = ("timestep", "gravity", "wind", "density", "viscosity", "integrator", "disableflags")
"""Fields of `mujoco.MjOption`, recorded as `options`."""


def physics_record(model: Any) -> dict[str, str]:
    """Group -> a hash of the numbers in it; and the release of MuJoCo.

    Args:
        model: a `mujoco.MjModel`.
    """
    import mujoco

    touches = (model.geom_contype | model.geom_conaffinity) > 0
    fields = {
        group: [
            np.asarray(getattr(model, name))[touches if name.startswith("geom_") else ALL] for name in names
        ]
        for group, names in GROUPS.items()
    }
    fields["options"] = [np.asarray(getattr(model.opt, name)) for name in OPTIONS]
    return {RELEASE: mujoco.__version__} | {group: _hash(values) for group, values in fields.items()}


def _hash(values: list[np.ndarray]) -> str:
    text = ";".join(",".join(map(_digits, np.asarray(of, np.float64).flat)) for of in values)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _digits(value: float) -> str:
    return f"{value:.{DIGITS}g}" if abs(value) > NOTHING else "0"
