"""The strip below the frames of a film: return, surprise, and the energy of the plan.

The height of the strip depends only on the width and on the terms of the film. So all frames of a film have
the same even size, as video codecs need it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from joule.report.film.canvas import (
    ALARM,
    CALM,
    COLOURS,
    INK,
    PAPER,
    QUIET,
    RULE,
    Frame,
    even,
    fitted,
    font_of,
)
from joule.report.film.caption import caption
from joule.report.film.story import FilmPanel

_OVERSAMPLING = 3
_MINUS = "\N{MINUS SIGN}"
_ALARM_LEVEL = 2.0
"""Surprise above which the number and the curve change colour."""


def annotate(frame: Frame, *, panel: FilmPanel) -> Frame:
    """The frame with its strip below it, and in it a label of what is changed in the environment.

    Args:
        frame: uint8 [height, width, 3].
        panel: the values in the strip.

    Returns:
        uint8 [height + strip, width, 3], both sides even.

    Raises:
        ValueError: for a frame of another form.
    """
    picture = even(frame)
    if panel.perturbations:
        picture = caption(picture, f"perturbed: {', '.join(panel.perturbations)}", ALARM, "bottom")
    width = picture.shape[1]
    unit = width / 640.0
    strip = strip_height(width, terms=len(panel.terms))
    image = Image.new("RGB", (width, strip), PAPER)
    draw = ImageDraw.Draw(image)
    margin, rule = round(16 * unit), round(34 * unit)
    _title(draw, panel, width, margin, round(17 * unit), unit)
    draw.line([(margin, rule), (width - margin, rule)], fill=RULE, width=max(1, round(unit)))

    bottom, top = strip - round(10 * unit), rule + round(9 * unit)
    _number(draw, "return", _short(panel.total_return), margin, top, unit)
    if panel.shows_surprise:
        left = round(148 * unit)
        _surprise(draw, panel.surprise, left, top, unit)
        # The curve is below the number where there are energies, and to its right otherwise.
        x0, y0, x1 = (left, top + round(46 * unit), round(250 * unit))
        if not panel.terms:
            x0, y0, x1 = (round(252 * unit), top, width - margin - round(60 * unit))
        _history(image, draw, panel.surprises, (x0, y0, x1, bottom), unit)
    if panel.terms:
        _energies(draw, panel, round(326 * unit), top, width - margin, bottom, unit)
    return np.concatenate([picture, np.asarray(image)], axis=0)


def strip_height(width: int, *, terms: int) -> int:
    """Height in pixels of the strip below a frame, an even number.

    Args:
        width: of the frame in pixels, an even number.
        terms: number of energy terms in the film.
    """
    rows = max(124, 72 + 17 * terms) if terms else 98
    return 2 * round(rows * width / 640.0 / 2)


def _title(draw: ImageDraw.ImageDraw, panel: FilmPanel, width: int, margin: int, y: int, unit: float) -> None:
    font, strong = font_of(round(15 * unit)), font_of(round(15 * unit), bold=True)
    clock = f"decision {panel.decisions:,}   {panel.seconds:.2f} s"
    draw.text((width - margin, y), clock, fill=QUIET, font=font, anchor="rm")
    # The widest form of the clock is kept free, so that a long env id neither meets it nor moves with it.
    free = width - 2 * margin - font.getlength("decision 000,000   0000.00 s") - 12 * unit
    agent = f"   {panel.agent}"
    env = fitted(panel.env, strong, free - font.getlength(agent))
    draw.text((margin, y), env, fill=INK, font=strong, anchor="lm")
    draw.text((margin + strong.getlength(env), y), agent, fill=QUIET, font=font, anchor="lm")


def _number(
    draw: ImageDraw.ImageDraw,
    name: str,
    value: str,
    left: int,
    top: int,
    unit: float,
    ink: tuple[int, ...] = INK,
) -> None:
    draw.text((left, top), name, fill=QUIET, font=font_of(round(12 * unit)), anchor="lt")
    draw.text(
        (left, top + round(18 * unit)),
        value,
        fill=ink,
        font=font_of(round(23 * unit), bold=True),
        anchor="lt",
    )


def _surprise(draw: ImageDraw.ImageDraw, value: float | None, left: int, top: int, unit: float) -> None:
    shown = "—" if value is None else f"{value:.2f}" if value < 100 else _short(value)
    alarmed = value is not None and not value <= _ALARM_LEVEL  # NaN alarms, too
    _number(draw, "surprise", shown, left, top, unit, ALARM if alarmed else INK)


def _history(
    image: Image.Image,
    draw: ImageDraw.ImageDraw,
    surprises: Sequence[float],
    box: tuple[int, int, int, int],
    unit: float,
) -> None:
    """The latest surprises on a square-root axis, the newest at the right; level 1, "as usual", is dashed.

    It is drawn three times as large and then reduced, because pillow does not smooth its lines. A film that is
    some pixels wide has no place for it.
    """
    if box[0] >= box[2] or box[1] >= box[3]:
        return
    width, height = (box[2] - box[0]) * _OVERSAMPLING, (box[3] - box[1]) * _OVERSAMPLING
    pitch = 1.6 * unit * _OVERSAMPLING
    recent = [entry for entry in surprises if math.isfinite(entry)][-int(width / pitch) :]
    ceiling = math.sqrt(max([3.0, *recent]))
    chart = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(chart)

    def level(entry: float) -> float:
        return (height - 1 - 2 * _OVERSAMPLING) * (1.0 - math.sqrt(max(entry, 0.0)) / ceiling) + _OVERSAMPLING

    usual = level(1.0)
    for x in range(0, width, 8 * _OVERSAMPLING):
        pen.line([(x, usual), (x + 4 * _OVERSAMPLING, usual)], fill=QUIET, width=_OVERSAMPLING)
    thick = max(_OVERSAMPLING, round(1.7 * _OVERSAMPLING * unit))
    start = width - 1 - pitch * (len(recent) - 1)
    for i in range(1, len(recent)):
        ends = [(start + pitch * j, level(recent[j])) for j in (i - 1, i)]
        pen.line(ends, fill=ALARM if max(recent[i - 1 : i + 1]) > _ALARM_LEVEL else CALM, width=thick)
    image.paste(chart.resize((box[2] - box[0], box[3] - box[1]), Image.Resampling.BOX), box[:2])
    note = (box[2] + round(5 * unit), box[1] + usual / _OVERSAMPLING)
    draw.text(note, "as usual", fill=QUIET, font=font_of(round(11 * unit)), anchor="lm")


def _energies(
    draw: ImageDraw.ImageDraw, panel: FilmPanel, left: int, top: int, right: int, bottom: int, unit: float
) -> None:
    """A bar per term, all on one square-root scale: to the left of zero is good, to the right is bad."""
    small, font = font_of(round(12 * unit)), font_of(round(12.5 * unit))
    draw.text((left, top), "energy of the plan, √ scale (low is good)", fill=QUIET, font=small, anchor="lt")
    first = top + round(19 * unit)
    pitch = min(17 * unit, (bottom - first) / len(panel.terms))
    names, values = round(92 * unit), round(58 * unit)
    x0, x1 = left + names, right - values
    zero, half_width = (x0 + x1) / 2, (x1 - x0) / 2
    for index, term in enumerate(panel.terms):
        y = first + pitch * (index + 0.5)
        draw.text((left, y), fitted(term, font, names - 8 * unit), fill=INK, font=font, anchor="lm")
        draw.rectangle([x0, y - 0.5 * unit, x1, y + 0.5 * unit], fill=RULE)
        value = panel.energies.get(term)
        if value is None:
            draw.text((right, y), "—", fill=QUIET, font=font, anchor="rm")
            continue
        share = min(1.0, math.sqrt(abs(value) / panel.scale)) if math.isfinite(value) else 1.0
        if not math.isnan(value):
            end = zero + math.copysign(half_width * share, value)
            half = 5 * unit
            draw.rectangle([min(zero, end), y - half, max(zero, end), y + half], fill=COLOURS[index])
        draw.text((right, y), _short(value), fill=INK, font=font, anchor="rm")
    draw.line(
        [(zero, first), (zero, first + pitch * len(panel.terms))], fill=QUIET, width=max(1, round(unit))
    )


def _short(value: float) -> str:
    """A number in at most seven characters, with a true minus sign."""
    if not math.isfinite(value):
        return {math.inf: "∞", -math.inf: f"{_MINUS}∞"}.get(value, "undefined")
    size = abs(value)
    if size >= 1e6:
        text = f"{size:.1e}".replace("e+0", "e").replace("e+", "e")
    else:
        text = f"{size:,.0f}" if size >= 1000 else f"{size:.1f}" if size >= 10 else f"{size:.2f}"
    return f"{_MINUS}{text}" if value < 0 and text.strip("0.") else text
