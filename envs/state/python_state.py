"""The state that an environment keeps in Python: its random generators, and numbers in its attributes.

A snapshot may come from another person. It sets an attribute only where the environment has it, to a value of
the kind that it has: a number for a number, a text for a text, an array for an array. It never sets a method,
a property, or what Gymnasium's own constructors set.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from envs.faults.errors import Misbehaviour
from envs.physics import parts
from joule_schema.errors import SchemaError, shown
from joule_schema.generators import bit_generator_state

LARGEST_ARRAY = 4096
"""A larger array in an attribute counts as a constant table, not as state (numbers)."""
_SCALARS = frozenset({bool, int, float, str, np.bool_, *(np.dtype(code).type for code in "bhilBHILefd")})
_CONSTANTS = frozenset(
    {"fullpath", "frame_skip", "n_substeps", "width", "height", "camera_name", "camera_id"}
)
_CONSTANTS_OF = ("gymnasium.envs.mujoco.mujoco_env", "gymnasium_robotics.envs.robot_env")
"""What the constructors in these modules set, and no step: a snapshot leaves it as it is."""


class CannotRestore(Misbehaviour):
    """A well-formed snapshot that this environment cannot be brought to; the text continues "the environment"."""


def json_scalar(value: Any) -> Any:
    """A scalar for JSON, which has neither NumPy's types nor infinity."""
    value = value.item() if isinstance(value, np.generic) else value
    return {"float": str(value)} if isinstance(value, float) and not math.isfinite(value) else value


def is_json(value: Any) -> bool:
    """Whether a value can be stored as JSON."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def scalars(part: Any) -> dict[str, Any]:
    """The numbers, booleans and strings in the attributes of an object, for JSON; subclasses are left out."""
    return {name: json_scalar(value) for name, value in vars(part).items() if type(value) in _SCALARS}


def is_saved(value: Any) -> bool:
    """Whether `scalars` or `copies` saves an attribute with this value."""
    if type(value) in _SCALARS:
        return True
    return isinstance(value, np.ndarray) and value.dtype.kind in "biuf" and value.size <= LARGEST_ARRAY


def check_attributes(part: Any, values: Mapping[str, Any], where: str) -> None:
    """Checks that values may be set as attributes of an object. Nothing is changed.

    An attribute that the object does not have yet may be made by its first reset, and is checked again when it
    is set.

    Args:
        part: the object.
        values: what `scalars` gave, or arrays, by name.
        where: what the values are called in a message.

    Raises:
        SchemaError: for a name that is no attribute, is a method or a property, or has a value of another kind.
    """
    for name, value in values.items():
        if not name.isidentifier() or (name.startswith("__") and name.endswith("__")):
            raise SchemaError(f"{where}: {shown(name)} names no attribute")
        of_class = inspect.getattr_static(type(part), name, None)
        if callable(of_class) or hasattr(type(of_class), "__get__"):
            raise SchemaError(f"{where}: {name} is a method or a property of {type(part).__name__}")
        now = vars(part).get(name)
        if now is not None and _kind(now) != _kind(value):
            found = type(now).__name__
            raise SchemaError(f"{where}: {name} is {shown(value)}, and {found} in this environment")


def lacks(part: Any, names: Mapping[str, Any]) -> bool:
    """Whether an object does not have one of these attributes."""
    return any(name not in vars(part) for name in names)


def load_scalars(part: Any, values: Mapping[str, Any]) -> None:
    """Sets attributes to what `scalars` gave, each in the NumPy type that it has now; all of them or none.

    Raises:
        CannotRestore: for an attribute that the object does not have, or whose value is of another kind.
    """
    attributes, constants = vars(part), _constants(type(part))
    loaded = {}
    for name, value in values.items():
        if name not in constants:
            loaded[name] = _loaded(part, name, float(value["float"]) if isinstance(value, dict) else value)
    attributes.update(loaded)


def copies(part: Any) -> dict[str, np.ndarray]:
    """Copies of the small numeric arrays in the attributes of an object."""
    return {
        name: value.copy()
        for name, value in vars(part).items()
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf" and value.size <= LARGEST_ARRAY
    }


def load_arrays(part: Any, values: Mapping[str, np.ndarray]) -> None:
    """Sets attributes to what `copies` gave, in place where possible: other objects may share the memory.

    Raises:
        CannotRestore: for an attribute that the object does not have, or that is no array.
    """
    attributes = vars(part)
    for name in values:
        if name not in attributes or not (
            attributes[name] is None or isinstance(attributes[name], np.ndarray)
        ):
            raise CannotRestore(f"has no array {name}")
    for name, value in values.items():
        now = attributes[name]
        if now is not None and (now.shape, now.dtype) == (value.shape, value.dtype) and now.flags.writeable:
            if now.tobytes() != value.tobytes():
                now[...] = value
        else:
            attributes[name] = np.array(value)


def generators(env: gymnasium.Env[Any, Any]) -> list[Any]:
    """The random generators of an environment and of the environments in it."""
    found = [part.np_random for part in parts(env) if isinstance(part, gymnasium.Env)]
    return [rng for rng in found if isinstance(rng, np.random.Generator | np.random.RandomState)]


def rng_states(env: gymnasium.Env[Any, Any]) -> list[Any]:
    """The states of all generators of `env`, in a fixed order."""
    return [
        rng.bit_generator.state if isinstance(rng, np.random.Generator) else rng.get_state(legacy=False)
        for rng in generators(env)
    ]


def set_rng_states(env: gymnasium.Env[Any, Any], states: list[Any]) -> None:
    """Sets what `rng_states` gave, in its JSON form."""
    for rng, state in zip(generators(env), states, strict=True):
        set_rng(rng, state)


def set_rng(rng: Any, state: Any) -> None:
    """Sets one generator to a state in its JSON form. Raises SchemaError for the state of another kind."""
    if isinstance(rng, np.random.Generator):
        kind = type(rng.bit_generator).__name__
        rng.bit_generator.state = bit_generator_state(state, kind, "generator")
    else:
        rng.set_state(bit_generator_state(state, "MT19937", "generator", legacy=True))


def to_json(value: Any) -> Any:
    """The state of a generator for JSON: integers beyond 2^63 as text, arrays as lists."""
    if isinstance(value, dict):
        return {key: to_json(inner) for key, inner in value.items()}
    if isinstance(value, np.ndarray):
        return [int(number) for number in value]
    if isinstance(value, np.generic):
        return value.item()
    return str(value) if isinstance(value, int) and abs(value) >= 2**63 else value


def _kind(value: Any) -> str:
    """Number, text or array, else the name of the type. A number that is not finite is an object in JSON."""
    if isinstance(value, str):
        return "text"
    if isinstance(value, np.ndarray):
        return "array"
    if isinstance(value, (bool, int, float, np.generic)) or (
        isinstance(value, dict) and set(value) == {"float"}
    ):
        return "number"
    return type(value).__name__


def _loaded(part: Any, name: str, value: Any) -> Any:
    """The value to set an attribute to. Raises CannotRestore."""
    attributes = vars(part)
    if name not in attributes:
        raise CannotRestore(f"has no attribute {name}")
    now = attributes[name]
    if isinstance(value, str):
        if value != now and name in _constructor_parameters(type(part)):
            raise CannotRestore(f"was made with another {name}")
        if not isinstance(now, str):
            raise CannotRestore(f"has no text in {name}")
        return value
    if now is not None and _kind(now) != "number":
        raise CannotRestore(f"has no number in {name}")
    if isinstance(now, np.generic):
        converted = type(now)(value)
        # An attribute may have had another type in the saved moment.
        return converted if converted == value or converted != converted else value
    return value


def _constants(kind: type) -> frozenset[str]:
    """Attributes that Joule or Gymnasium set once, and no snapshot."""
    known = any(base.__module__ in _CONSTANTS_OF for base in kind.__mro__)
    return _CONSTANTS | {"render_mode"} if known else frozenset({"render_mode"})


def _constructor_parameters(kind: type) -> set[str]:
    """The parameters of the constructors of a class and its bases."""
    names: set[str] = set()
    for base in kind.__mro__:
        constructor = vars(base).get("__init__")
        if inspect.isfunction(constructor):
            names |= set(inspect.signature(constructor).parameters)
    return names
