"""Curves of observed and predicted readouts, and captions of ghosts."""

from __future__ import annotations

import numpy as np

from joule.report.film.canvas import CALM, fitted_with_end, font_of
from joule.report.film.caption import caption
from joule.report.imagination import PREDICTED, Curves


def has(picture: np.ndarray, colour: tuple[int, ...]) -> bool:
    return bool((picture == colour).all(axis=-1).any())


def test_predictions_are_drawn_only_where_there_are_any() -> None:
    curves = Curves(["position", "velocity.0", "velocity.1"], span=20)
    for step in range(20):
        curves.tell(np.full(3, np.sin(step / 3)), None)
    assert has(curves.draw(640, 480), CALM)
    assert not has(curves.draw(640, 480), PREDICTED)
    curves.tell(np.zeros(3), np.full(3, 0.5))
    assert has(curves.draw(640, 480), PREDICTED)


def test_a_short_episode_fills_the_axis_and_a_long_one_moves_on() -> None:
    curves = Curves(["position"], span=100)
    for step in range(130):
        curves.tell(np.array([step % 7]), None)
        columns = (
            np.flatnonzero((curves.draw(640, 480) == CALM).all(-1).any(0)) if step in (23, 129) else None
        )
        if columns is not None:
            assert columns.min() < 25, "it begins at the left edge"
            assert columns.max() > 615, "and ends now, at the right edge"


def test_names_that_differ_at_their_end_stay_apart() -> None:
    names = [f"chassis_local_velocity_of_a_long_name.{place}" for place in range(3)]
    shown = [fitted_with_end(name, font_of(9), 80) for name in names]
    assert len(set(shown)) == 3
    assert all(
        text.startswith("chass") and "…" in text and font_of(9).getlength(text) <= 80 for text in shown
    )
    assert fitted_with_end(names[0], font_of(9), 1000) == names[0]
    assert fitted_with_end("abc", font_of(9), 1) == "…"


def test_a_caption_covers_only_its_corner() -> None:
    frame = np.full((480, 640, 3), 90, np.uint8)
    shown = caption(frame, "ghost: predicted 5 decisions ago, " + "3 cm off " * 30, PREDICTED)
    assert shown.shape == frame.shape
    changed = (shown != frame).any(axis=-1)
    assert changed[:60].any()
    assert not changed[60:].any()
