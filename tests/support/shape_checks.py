"""The checks of types and shapes that every function of the agent and the planners has under pytest."""

from collections.abc import Iterator
from contextlib import contextmanager

import beartype
import jaxtyping

checked = beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))
"""The type checker: an int is a float, as everywhere in Python's typing."""


@contextmanager
def shapes_unchecked() -> Iterator[None]:
    """No checks inside the block: they take longer than a small network does.

    Whole training runs use it, and tests that put a double in the place of a class. Other tests check the same
    functions with the checks on.
    """
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)
