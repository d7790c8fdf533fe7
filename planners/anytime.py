"""Iterations of a search that may be asked to end before the last one: the best plan so far is its result."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from planners.base import Proceed

Item = TypeVar("Item")


def goes_on(proceed: Proceed | None) -> bool:
    """Whether another iteration is made; always where nobody is asked."""
    return proceed is None or proceed()


def while_asked(iterations: Iterable[Item], proceed: Proceed | None) -> Iterator[Item]:
    """The iterations of a search, each as it begins. The first is always made, so that there is a plan.

    Args:
        iterations: what differs from one to the next, such as the noise of the candidates.
        proceed: asked before every iteration but the first; see `Planner.plan`.
    """
    for number, item in enumerate(iterations):
        if number and not goes_on(proceed):
            return
        yield item
