"""Curves of observed and predicted readouts, and captions of ghosts."""

from __future__ import annotations

import numpy as np

from joule.report.film.canvas import CALM
from joule.report.film.caption import caption
from joule.report.imagination import MOST_CURVES, PREDICTED, Curves


def has(picture: np.ndarray, colour: tuple[int, ...]) -> bool:
    return bool((picture == colour).all(axis=-1).any())


def test_predictions_are_drawn_only_where_there_are_any() -> None:
    curves = Curves({"position": 1, "velocity": 2}, span=20)
    for step in range(20):
        curves.tell(np.full(3, np.sin(step / 3)), None)
    assert has(curves.draw(640, 480), CALM)
    assert not has(curves.draw(640, 480), PREDICTED)
    curves.tell(np.zeros(3), np.full(3, 0.5))
    assert has(curves.draw(640, 480), PREDICTED)


def test_at_most_six_numbers_are_shown() -> None:
    assert Curves({"qpos": 9, "qvel": 9}, span=20).labels[0] == "qpos[0]"
    assert len(Curves({"qpos": 9, "qvel": 9}, span=20).labels) == MOST_CURVES


def test_a_caption_covers_only_its_corner() -> None:
    frame = np.full((480, 640, 3), 90, np.uint8)
    shown = caption(frame, "ghost: predicted 5 decisions ago, " + "3 cm off " * 30, PREDICTED)
    assert shown.shape == frame.shape
    changed = (shown != frame).any(axis=-1)
    assert changed[:60].any()
    assert not changed[60:].any()
