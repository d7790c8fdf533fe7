"""Domain randomisation: perturbations whose value is drawn anew at the start of each episode.

`gravity=0.7..1.3` draws from the uniform distribution over a range, `mass.torso=0.5|1|2` one of the values, each
with the same probability. The distribution is uniform in the factor itself: what is typed is the interval that
the real environment is believed to lie in, and no value of it is preferred. A factor that is uncertain by orders
of magnitude is written as a choice, such as `damping=0.1|1|10`.

Sources: J. Tobin et al., Domain randomization for transferring deep neural networks from simulation to the real
world, IROS 2017; X. B. Peng et al., Sim-to-real transfer of robotic control with dynamics randomization, ICRA
2018.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from envs.changes.factors import FACTORS, Perturbation, Written, number_text, perturbation, read
from envs.faults.errors import EnvError

NONE = "none"
"""The text that stands for no perturbation: the nominal environment. The settings know it too."""


@dataclass(frozen=True)
class Randomised:
    """A perturbation whose value is drawn."""

    factor: str
    """Name of the factor."""
    value: str
    """The range or the choice, as it was written."""
    values: tuple[float, ...]
    """Both bounds of a range, or the values of a choice."""
    is_range: bool
    target: str | None = None
    """As for `Perturbation`."""
    onset: int = 0
    """As for `Perturbation`."""
    written: str = field(default="", compare=False)
    """As for `Perturbation`."""

    @property
    def quoted(self) -> str:
        """As for `Perturbation`."""
        return repr(self.written or str(self))

    @property
    def name(self) -> str:
        """What is drawn, such as `mass.torso`, with its onset where that is not the start: `gravity@300`."""
        target = "" if self.target is None else f".{self.target}"
        return f"{self.factor}{target}{f'@{self.onset}' if self.onset else ''}"

    def draw(self, rng: np.random.Generator) -> Perturbation:
        """The perturbation of one episode.

        A value of a range is rounded to between 1,000 and 10,000 steps over the range, so that its text is short
        and repeats the episode exactly.
        """
        low, high = self.values[0], self.values[-1]
        if not self.is_range:
            value = self.values[int(rng.integers(len(self.values)))]
        elif FACTORS[self.factor].whole:
            value = float(rng.integers(int(low), int(high) + 1))
        else:
            digits = 3 - math.floor(math.log10(high - low))
            value = min(max(round(float(rng.uniform(low, high)), digits), low), high)
        return Perturbation(self.factor, value, self.target, self.onset)

    def __str__(self) -> str:
        return f"{self.factor}{'' if self.target is None else '.' + self.target}={self.value}"


Standing = Perturbation | Randomised
"""A perturbation that holds in every episode, with the same value or with one that is drawn."""


def parse_standing(text: str) -> Standing:
    """A perturbation from its text, whose value may be a range `low..high` or a choice `a|b|c`.

    Raises:
        EnvError: as `envs.changes.factors.parse`, and for a range or a choice that is malformed or empty, and one
            with a value that the factor cannot have.
    """
    written = read(text)
    if not written.drawn:
        return perturbation(written)
    is_range = "|" not in written.value
    values = _bounds(written) if is_range else _options(written)
    return Randomised(
        written.factor, written.value, values, is_range, written.target, written.onset, written.text
    )


def _bounds(written: Written) -> tuple[float, float]:
    """The bounds of a range. Raises EnvError."""
    words = [word.strip() for word in written.value.split("..")]
    # "1...2" could be read as 1 to .2, which is hardly what was meant.
    if len(words) != 2 or not all(words) or "..." in written.value:
        raise written.error("a range has two bounds with two dots between them, as in gravity=0.7..1.3")
    low, high = (written.number(word) for word in words)
    if low == high:
        raise written.error(
            f"the range is empty, because its bounds are equal; write {number_text(low)} alone"
        )
    if low > high:
        raise written.error(f"the smaller bound comes first; write {words[1]}..{words[0]}")
    return low, high


def _options(written: Written) -> tuple[float, ...]:
    """The values of a choice. Raises EnvError."""
    words = [word.strip() for word in written.value.split("|")]
    if not all(words):
        raise written.error("a choice has a value before and after every |, as in mass=0.5|1|2")
    if any(".." in word for word in words):
        raise written.error("the values of a choice are numbers; give a range alone, as in mass=0.5..2")
    return tuple(written.number(word) for word in words)


def standing(texts: Iterable[str]) -> list[Standing]:
    """The perturbations of every episode, in the order of their onsets.

    Args:
        texts: the perturbations; `none` alone, or nothing, for no perturbation.

    Raises:
        EnvError: as `parse_standing`, for `none` beside another text, and for two of the same factor and target
            that begin in the same frame.
    """
    texts = list(texts)
    if NONE in texts:
        if len(texts) > 1:
            raise EnvError(f"perturb: {NONE} means no perturbation, and cannot be given with others")
        return []
    found: dict[tuple[str, str | None, int], Standing] = {}
    for each in map(parse_standing, texts):
        first = found.setdefault((each.factor, each.target, each.onset), each)
        if first != each:
            raise EnvError(
                f"perturb: {first.quoted} and {each.quoted} begin together, and only one of them can hold; give one"
            )
    return sorted(found.values(), key=lambda each: each.onset)


def generator_of(seed: int) -> np.random.Generator:
    """The generator of what perturbations draw after a reset with this seed.

    It is another stream than that of the environment, which takes the bare seed.
    """
    return np.random.default_rng([seed, 1])


def draw(
    perturbations: Sequence[Standing], rng: np.random.Generator
) -> tuple[list[Perturbation], dict[str, float]]:
    """The perturbations of one episode, and the drawn values by `Randomised.name`.

    Args:
        perturbations: those of every episode.
        rng: the generator; it is used only for values that are drawn.
    """
    episode: list[Perturbation] = []
    values: dict[str, float] = {}
    for each in perturbations:
        own = each.draw(rng) if isinstance(each, Randomised) else each
        if isinstance(each, Randomised):
            values[each.name] = own.value
        episode.append(own)
    return episode, values


def is_drawn(texts: Iterable[str]) -> bool:
    """Whether a value of these perturbations is drawn. Raises EnvError as `standing`."""
    return any(isinstance(each, Randomised) for each in standing(texts))


def values_of(texts: Iterable[str], seed: int) -> dict[str, float]:
    """What the episode draws that begins with a reset with this seed, by `Randomised.name`.

    Raises:
        EnvError: as `standing`.
    """
    return draw(standing(texts), generator_of(seed))[1]
