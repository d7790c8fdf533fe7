"""The strip of a film: one even size, an unchanged picture, and bars that show the energies."""

from __future__ import annotations

import time

import numpy as np
import pytest

from joule.report.film import Frame, Story, annotate, side_by_side
from joule.report.film.canvas import ALARM, COLOURS

TERMS = ("task", "critic", "action", "uncertainty", "constraint")


def picture(width: int, height: int) -> Frame:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("width", "height"), [(640, 480), (641, 481), (84, 84)])
@pytest.mark.parametrize("terms", [(), TERMS])
def test_every_frame_of_a_film_has_one_even_size(width: int, height: int, terms: tuple[str, ...]) -> None:
    story, frame = (
        Story("Hopper-v5", "joule", 0.008, terms=terms, surprise=bool(terms)),
        picture(width, height),
    )
    panels = [story.panel(), story.tell(1.0), story.tell(-1e9, surprise=float("nan"))]
    panels.append(story.tell(float("inf"), surprise=1e12, energies=dict.fromkeys(terms, float("-inf"))))
    shapes = {annotate(frame, panel=panel).shape for panel in panels}
    assert len(shapes) == 1
    tall, wide, _ = shapes.pop()
    assert tall % 2 == 0
    assert wide % 2 == 0
    shown = annotate(frame, panel=panels[1])
    assert shown.dtype == np.uint8
    np.testing.assert_array_equal(shown[:height, :width], frame)
    assert len(np.unique(shown[height + 1 :].reshape(-1, 3), axis=0)) > 10, "the strip is blank"


@pytest.mark.parametrize("terms", [(), TERMS[:1], TERMS])
def test_pictures_of_a_few_pixels_have_a_strip(terms: tuple[str, ...]) -> None:
    story = Story("Hopper-v5", "joule", 0.1, terms=terms, surprise=True)
    story.tell(0.0, surprise=1.0)
    for width in range(1, 64):
        assert annotate(picture(width, 5), panel=story.tell(0.0, surprise=1.0)).shape[1] == width + width % 2


def test_story_sums_reward_and_counts_decisions() -> None:
    story = Story("Hopper-v5", "sac", 0.5)
    story.tell(2.0)
    panel = story.tell(-0.5)
    assert (panel.total_return, panel.decisions, panel.seconds) == (1.5, 2, 1.0)
    story.restart()
    assert (story.panel().total_return, story.panel().decisions) == (0.0, 0)


def test_scale_rises_at_once_and_falls_slowly() -> None:
    story = Story("Hopper-v5", "joule", 0.1, terms=("task", "critic"))
    assert story.tell(0.0, energies={"task": -2.0, "critic": 8.0}).scale == 8.0
    later = story.tell(0.0, energies={"task": -2.0, "critic": 0.1}).scale
    assert 7.9 < later < 8.0
    assert story.tell(0.0, energies={"task": -20.0, "critic": float("nan")}).scale == 20.0


def test_bars_point_left_for_good_and_right_for_bad_in_constant_colours() -> None:
    def columns(value: float) -> np.ndarray:
        story = Story("Hopper-v5", "joule", 0.1, terms=TERMS)
        strip = annotate(picture(640, 480), panel=story.tell(0.0, energies={"task": 0.0, "critic": value}))[
            480:
        ]
        return np.flatnonzero((strip == COLOURS[1]).all(axis=-1).any(axis=0))

    good, bad = columns(-5.0), columns(5.0)
    assert good.max() <= bad.min()
    assert np.ptp(good) == pytest.approx(np.ptp(bad), abs=1)
    assert np.ptp(good) > 50


def test_a_higher_surprise_changes_the_picture_in_alarm() -> None:
    def alarmed(value: float) -> bool:
        panel = Story("Hopper-v5", "joule", 0.1, terms=TERMS, surprise=True).tell(0.0, surprise=value)
        return bool((annotate(picture(640, 480), panel=panel)[480:] == ALARM).all(axis=-1).any())

    assert not alarmed(1.0)
    assert alarmed(5.0)


def test_unknown_energy_terms_and_frames_of_another_type_are_refused() -> None:
    story = Story("Hopper-v5", "joule", 0.1, terms=("task",))
    with pytest.raises(ValueError, match="critc was not announced"):
        story.tell(0.0, energies={"critc": 1.0})
    assert story.panel().decisions == 0
    with pytest.raises(ValueError, match="uint8"):
        annotate(np.zeros((10, 10, 3), dtype=np.float32), panel=story.panel())  # type: ignore[arg-type]


def test_side_by_side_keeps_both_pictures() -> None:
    left, right = picture(320, 240), picture(200, 180)
    sheet = side_by_side([left, right], ["what happened", "what was predicted " * 9])
    bar = sheet.shape[0] - 240
    np.testing.assert_array_equal(sheet[bar:, :320], left)
    np.testing.assert_array_equal(sheet[bar : bar + 180, 324:], right)
    assert sheet.shape[0] % 2 == sheet.shape[1] % 2 == 0
    with pytest.raises(ValueError, match="as many titles"):
        side_by_side([left], [])


def test_the_cost_of_a_frame_does_not_grow_with_the_film() -> None:
    # The bound is ten times the usual cost, so that only work that grows with the film exceeds it.
    story, frame = Story("Hopper-v5", "joule", 0.1, terms=TERMS, surprise=True), picture(640, 480)
    for _ in range(2_000):
        panel = story.tell(1.0, surprise=1.0, energies=dict.fromkeys(TERMS, 1.0))
    start = time.process_time()
    for _ in range(10):
        annotate(frame, panel=panel)
    assert (time.process_time() - start) / 10 < 0.05
