"""How derived readouts are computed from rows of readouts, observed or predicted.

Predicted rows need not be consistent: a cosine and a sine may not lie on the circle, two axes may not be at
right angles. Every derivation takes the nearest consistent value.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

PerNumber = Any
"""A number for all of x, or a tensor with one for each."""
LEAST = 1e-12
"""Least squared length that is divided by."""


@dataclass(frozen=True)
class Derivation:
    """One way to compute a derived readout."""

    compute: Callable[[Tensor, PerNumber, PerNumber], Tensor]
    """(x [rows, numbers], sign, plus) -> [rows] or [rows, size]."""
    takes: int | None = None
    """How many numbers it needs; None for any."""
    gives: int | None = 1
    """Size of the result; None for as many numbers as it takes."""
    turns: bool = False
    """Whether the result is an angle, the same after a whole turn (rad)."""


def _value(x: Tensor, sign: PerNumber, plus: PerNumber) -> Tensor:
    return squeezed(x * sign + plus)


def _cos(x: Tensor, sign: PerNumber, plus: PerNumber) -> Tensor:
    return squeezed((x * sign + plus).cos())


def _length(x: Tensor, sign: PerNumber, plus: PerNumber) -> Tensor:
    return x.norm(dim=-1)


def _up(x: Tensor, sign: PerNumber, plus: PerNumber) -> Tensor:
    """The last entry of the rotation matrix of a quaternion w x y z of any length."""
    square = x.square()
    return 1.0 - 2.0 * (square[:, 1] + square[:, 2]) / square.sum(-1).clamp_min(LEAST)


def _angle(x: Tensor, sign: PerNumber, plus: PerNumber) -> Tensor:
    return sign * x[:, 1].atan2(x[:, 0]) + plus


def _upright(up: Tensor, sign: PerNumber, plus: PerNumber) -> Tensor:
    return up[:, 2]


def _pitch(up: Tensor, sign: PerNumber, plus: PerNumber) -> Tensor:
    return (-up[:, 0]).atan2(up[:, 1:].norm(dim=-1))


def _roll(up: Tensor, sign: PerNumber, plus: PerNumber) -> Tensor:
    return up[:, 1].atan2(up[:, 2])


def _across(x: Tensor, sign: PerNumber, plus: PerNumber) -> Tensor:
    """The length of a velocity without its part along up; both in the axes of the robot."""
    velocity, up = x[:, :3], _unit(x[:, 3:])
    return (velocity - (velocity * up).sum(-1, keepdim=True) * up).norm(dim=-1)


def _heading(x: Tensor, sign: PerNumber, plus: PerNumber) -> Tensor:
    ahead, left, _ = _axes(x)
    return left[:, 0].atan2(ahead[:, 0])


def _quaternion(x: Tensor, sign: PerNumber, plus: PerNumber) -> Tensor:
    """The orientation w x y z with w >= 0 of the world's up and ahead in the axes of the robot."""
    import torch

    a, b, c = _axes(x)  # rows of the rotation matrix
    # The largest of the four numbers is far from zero, so that dividing by it is safe.
    squares = torch.stack(
        [
            1 + a[:, 0] + b[:, 1] + c[:, 2],
            1 + a[:, 0] - b[:, 1] - c[:, 2],
            1 - a[:, 0] + b[:, 1] - c[:, 2],
            1 - a[:, 0] - b[:, 1] + c[:, 2],
        ],
        -1,
    )
    wx, wy, wz = c[:, 1] - b[:, 2], a[:, 2] - c[:, 0], b[:, 0] - a[:, 1]
    xy, xz, yz = a[:, 1] + b[:, 0], a[:, 2] + c[:, 0], b[:, 2] + c[:, 1]
    w2, x2, y2, z2 = squares.unbind(-1)
    candidates = torch.stack(
        [
            torch.stack([w2, wx, wy, wz], -1),
            torch.stack([wx, x2, xy, xz], -1),
            torch.stack([wy, xy, y2, yz], -1),
            torch.stack([wz, xz, yz, z2], -1),
        ],
        1,
    )
    largest = squares.argmax(-1)
    best = _unit(candidates[torch.arange(len(x), device=x.device), largest])
    return torch.where(best[:, :1] < 0.0, -best, best)


def _axes(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The world's x, y and z in the axes of the robot, each [rows, 3], at right angles."""
    up, ahead = _unit(x[:, :3]), x[:, 3:]
    ahead = _unit(ahead - (ahead * up).sum(-1, keepdim=True) * up)
    return ahead, up.cross(ahead, dim=-1), up


def _unit(x: Tensor) -> Tensor:
    return x / x.square().sum(-1, keepdim=True).clamp_min(LEAST).sqrt()


def squeezed(part: Tensor) -> Tensor:
    """A part of rows [rows, size], [rows] where it is one number."""
    return part[:, 0] if part.shape[1] == 1 else part


DERIVATIONS: dict[str, Derivation] = {
    "value": Derivation(_value, gives=None),
    "cos": Derivation(_cos, gives=None),
    "length": Derivation(_length),
    "angle": Derivation(_angle, takes=2, turns=True),
    "up": Derivation(_up, takes=4),
    "upright": Derivation(_upright, takes=3),
    "pitch": Derivation(_pitch, takes=3, turns=True),
    "roll": Derivation(_roll, takes=3, turns=True),
    "across": Derivation(_across, takes=6),
    "heading": Derivation(_heading, takes=6, turns=True),
    "quaternion": Derivation(_quaternion, takes=6, gives=4),
}
"""Name -> derivation; `envs.readouts.derived` says what each is."""


def size_of(source: Any, sizes: Mapping[str, int]) -> int | None:
    """The size of a derived readout; None where it does not fit the readouts of these sizes."""
    try:
        of, at, derivation = parts_of(source), source["at"], DERIVATIONS[source["as"]]
        known = sum(sizes[name] for name in of)
        fits = (
            len(of) == len(set(of))
            and isinstance(at, list)
            and len(at) > 0
            and all(isinstance(k, numbers.Integral) and 0 <= int(k) < known for k in at)
            and all(_fits(source[x], len(at), source["as"] == "value") for x in ("sign", "plus"))
            and ("tilt" not in source or (_is_rotation(source["tilt"]) and len(at) % 3 == 0))
        )
    except (KeyError, TypeError, ValueError, OverflowError):  # a whole number may be beyond every float
        return None
    if not fits or derivation.takes not in (None, len(at)):
        return None
    return len(at) if derivation.gives is None else derivation.gives


def _fits(given: Any, count: int, may_be_list: bool) -> bool:
    """Whether this is a finite number, or where it may be a list of `count` of them."""
    if isinstance(given, list):
        return may_be_list and len(given) == count and all(_fits(number, 1, False) for number in given)
    return isinstance(given, numbers.Real) and math.isfinite(given)


def _is_rotation(given: Any) -> bool:
    return isinstance(given, list) and _fits(given, 4, True)


def computed(source: Mapping[str, Any], whole: Tensor) -> Tensor:
    """A derived readout of rows, [rows] or [rows, size].

    Args:
        source: says how, as `size_of` takes it.
        whole: the readouts that it is computed from, end to end [rows, numbers].
    """
    x = whole[:, source["at"]]
    if "tilt" in source:
        w, *vector = (float(number) for number in source["tilt"])
        x = _rotated(x.unflatten(-1, (-1, 3)), w, x.new_tensor(vector)).flatten(-2)
    sign, plus = (
        x.new_tensor(given) if isinstance(given, list) else given
        for given in (source["sign"], source["plus"])
    )
    return DERIVATIONS[source["as"]].compute(x, sign, plus)


def _rotated(vectors: Tensor, w: float, axis: Tensor) -> Tensor:
    """Vectors [rows, count, 3] turned by the quaternion of w and the vector `axis` [3], of length one."""
    axis = axis.expand_as(vectors)
    across = 2.0 * axis.cross(vectors, dim=-1)
    return vectors + w * across + axis.cross(across, dim=-1)


def parts_of(source: Mapping[str, Any]) -> list[str]:
    """The names of the readouts that a derived readout is computed from."""
    of = source["of"]
    return [of] if isinstance(of, str) else list(of)
