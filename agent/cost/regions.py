"""Regions that constraints forbid and tasks charge for: beyond a bound of a readout, or inside a disc."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.cost.readouts import NamedReadouts, difference
from agent.cost.term_arguments import Arguments, arguments, numbers
from agent.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

LIMIT = re.compile(r"\s*([^<>=+,\s\d](?:[^<>=+,]*[^<>=+,\s])?)\s*([<>])=?\s*([^\s<>=]+)\s*")
DISC_EXAMPLE = "out-of:x=0.1,y=0,r=0.3"


@dataclass(frozen=True)
class Limit:
    """A bound on a readout. Called, it gives the violation [rows], below 0 within the bound.

    For a readout of several numbers it gives the largest violation.
    """

    readout: str
    sign: float
    """1 where the readout must stay below the bound, -1 above."""
    bound: float

    def __call__(self, r: NamedReadouts) -> Tensor:
        violation = self.sign * (r[self.readout] - self.bound)
        return violation.amax(-1) if violation.ndim == 2 else violation

    def stricter_term(self, margin: float) -> str:
        """The term of a task that charges for violating a limit that is stricter by a margin, in its unit."""
        bound = self.bound - self.sign * margin
        text = f"{bound:.3g}"
        if self.sign * float(text) > self.sign * bound:  # rounding must not make it looser
            text = repr(bound)
        return f"keep:{self.readout}{'<' if self.sign > 0 else '>'}{text}"

    def covers(self, other: Region) -> bool:
        """Whether staying within this limit implies staying out of the other region."""
        if not isinstance(other, Limit) or (self.readout, self.sign) != (other.readout, other.sign):
            return False
        return self.sign * self.bound <= self.sign * other.bound

    def excludes(self, other: Limit) -> bool:
        """Whether no value keeps both limits."""
        shared = self.readout == other.readout or other.readout.startswith(f"{self.readout}.")
        if not (shared or self.readout.startswith(f"{other.readout}.")):
            return False
        return self.sign != other.sign and self.sign * self.bound < self.sign * other.bound


@dataclass(frozen=True)
class Disc:
    """A disc in the plane of a readout of two numbers.

    Called, it gives the violation [rows], in radii: the depth in the disc, 1 at its centre, and below 0 outside.
    """

    x: float
    y: float
    radius: float
    readout: str = "position"

    def __call__(self, r: NamedReadouts) -> Tensor:
        distance = difference(r, self.readout, [self.x, self.y]).norm(dim=-1)
        return 1.0 - distance / self.radius

    def stricter_term(self, margin: float) -> str:
        """The term of a task that charges for entering a disc that is larger by a margin, in radii."""
        radius = self.radius * (1.0 + margin)
        return f"out-of:x={self.x!r},y={self.y!r},r={radius!r},of={self.readout}"

    def covers(self, other: Region) -> bool:
        """Whether staying out of this disc implies staying out of the other region: it contains the other."""
        if not isinstance(other, Disc) or self.readout != other.readout:
            return False
        return math.hypot(self.x - other.x, self.y - other.y) + other.radius <= self.radius


Region = Limit | Disc


@dataclass(frozen=True)
class Charge:
    """The cost of entering a region: its violation [rows], never below 0."""

    region: Region

    def __call__(self, r: NamedReadouts) -> Tensor:
        return self.region(r).clamp_min(0.0)


def parse_limit(kind: str, text: str) -> Limit | None:
    """The limit `name<bound` or `name>bound`; None for another text.

    A limit on a readout of several numbers holds for each of them.

    Args:
        kind: what the limit is part of, for the message.
        text: the limit.

    Raises:
        ConfigError: for a bound that is not one number.
    """
    found = LIMIT.fullmatch(text)
    if found is None:
        return None
    readout, side, value = found.groups()
    try:
        bound = float(value)
    except ValueError:
        bound = math.nan
    if not math.isfinite(bound):
        said = f"{kind}: {value!r} in {text.strip()} is not a finite number; write one such as 1.5, without a unit"
        raise ConfigError(said)
    return Limit(readout, 1.0 if side == "<" else -1.0, bound)


def disc_of(given: Arguments) -> Disc:
    """The disc of the arguments x, y, r and of. Raises ConfigError."""
    if given.keys() - {"x", "y", "r", "of"} or not given.keys() >= {"x", "y", "r"}:
        raise ConfigError(f"out-of: takes x, y, r and of, as in {DISC_EXAMPLE}, found {', '.join(given)}")
    read = [numbers("out-of", key, given[key]) for key in ("x", "y", "r")]
    if any(len(found) > 1 for found in read) or not read[2][0] > 0:
        raise ConfigError("out-of: x, y and r are one number each, and r is above 0")
    (x,), (y,), (radius,) = read
    return Disc(x, y, radius, given.get("of", "position"))


def parse_disc(text: str) -> Disc:
    """The disc of the text `x=0,y=0,r=0.35,of=position`, where `of` may be left out. Raises ConfigError."""
    return disc_of(arguments("out-of", text, DISC_EXAMPLE))
