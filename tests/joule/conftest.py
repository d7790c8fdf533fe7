"""Tests of what surrounds the agent run whole commands, so the agent's shapes are not checked again."""

from collections.abc import Iterator

import pytest
from shape_checks import shapes_unchecked


@pytest.fixture(scope="module", autouse=True)
def shapes_of_the_agent_are_checked_elsewhere() -> Iterator[None]:
    """See `shapes_unchecked`; tests/agent and tests/planners run with the checks on."""
    with shapes_unchecked():
        yield
