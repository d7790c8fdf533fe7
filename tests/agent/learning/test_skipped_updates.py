"""The number of updates that may be skipped among the recent ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import StopRun
from agent.learning.skipped_updates import SkipBudget


@given(limit=st.integers(0, 20), skips=st.lists(st.booleans(), max_size=300))
def test_the_run_ends_at_the_first_window_with_too_many_skips(limit: int, skips: list[bool]) -> None:
    budget = SkipBudget(limit)
    for number, skip in enumerate(skips, 1):
        if not skip:
            continue
        if sum(skips[max(0, number - 100) : number]) > limit:
            with pytest.raises(StopRun, match=f"at update {number}; "):
                budget.skipped(number, "x")
            return
        budget.skipped(number, "x")
    assert budget.total == sum(skips)
