"""Numbers with a few decimals."""

from __future__ import annotations

import pytest

from joule.report.decimals import decimals


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (1234.56, 1, "1,234.6"),
        (0.0, 2, "0.00"),
        (-0.00037726, 2, "-0.00038"),
        (0.04, 1, "0.04"),
        (-0.06, 1, "-0.1"),
    ],
)
def test_a_small_number_is_not_shown_as_zero(value: float, places: int, text: str) -> None:
    assert decimals(value, places) == text
