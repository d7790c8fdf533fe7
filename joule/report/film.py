"""The strip under a film's frames: what the agent has earned, how surprised it is, and why it acts so.

`Story` keeps what one frame needs of the past (the surprises so far, and a scale that does not jump);
`annotate` draws one frame from a `FilmPanel` and remembers nothing. The strip's height follows only from
the width and from what the panel says it will show, so every frame of a film has one size, and an even one,
as video codecs ask.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Frame = NDArray[np.uint8]
"""A picture [height, width, 3]."""

PAPER, RULE, INK, QUIET = (20, 23, 28), (52, 58, 66), (236, 239, 243), (154, 162, 173)
CALM, ALARM = (86, 180, 233), (240, 138, 60)
COLOURS = (
    (86, 180, 233),
    (230, 159, 0),
    (64, 190, 150),
    (216, 140, 190),
    (240, 228, 66),
    (240, 118, 60),
    (150, 160, 240),
)
"""One per energy term in its order (Okabe and Ito's, lifted for a dark ground)."""
MOST_TERMS = len(COLOURS)
_HISTORY = 400
_FORGET = 0.995
_SMOOTH = 3
_MINUS = "\N{MINUS SIGN}"
_ALARMING = 2.0
"""Surprise above which the number and the curve change colour."""


@dataclass(frozen=True)
class FilmPanel:
    """What stands under one frame.

    `terms` names the energy terms the film shows, in order, for all its frames; `energies` holds this frame's
    values and may lack some (no bar is drawn). `scale` is the energy that fills a bar. `watches_surprise`
    shows the surprise, also where this frame has none.
    """

    env: str
    agent: str
    step: int
    seconds: float
    total_return: float
    surprise: float | None = None
    surprises: Sequence[float] = ()
    watches_surprise: bool = False
    terms: Sequence[str] = ()
    energies: Mapping[str, float] = field(default_factory=dict)
    scale: float = 1.0


def fewer(energies: Mapping[str, float]) -> dict[str, float]:
    """The energies as far as there are colours for them, the rest added up as `others`."""
    if len(energies) <= MOST_TERMS:
        return dict(energies)
    names = list(energies)
    rest = sum(energies[name] for name in names[MOST_TERMS - 1 :])
    return {name: energies[name] for name in names[: MOST_TERMS - 1]} | {"others": rest}


class Story:
    """Tells one episode frame by frame: sums the reward, remembers the surprises, and keeps the scale steady.

    `terms` are the names of the energy terms (none for a model-free baseline), `surprise` whether the agent
    reports one. Raises ValueError for more terms than there are colours, or an energy that was not announced.
    """

    def __init__(
        self,
        env: str,
        agent: str,
        seconds_per_decision: float,
        *,
        terms: Sequence[str] = (),
        surprise: bool = False,
    ) -> None:
        if len(terms) > MOST_TERMS:
            raise ValueError(f"a film shows at most {MOST_TERMS} energy terms, not {len(terms)}.")
        self.env, self.agent, self.seconds_per_decision = env, agent, seconds_per_decision
        self.terms, self.surprise = tuple(terms), surprise
        self.scale = 0.0
        self.restart()

    def restart(self) -> None:
        """Begins a new episode; the scale stays, so that two episodes can be compared by eye."""
        self.step, self.total_return = 0, 0.0
        self._surprises: deque[float] = deque(maxlen=_HISTORY)
        self._surprise: float | None = None
        self._energies: dict[str, float] = {}

    def tell(
        self, reward: float, *, surprise: float | None = None, energies: Mapping[str, float] | None = None
    ) -> FilmPanel:
        """Takes in one decision, what it earned and the plan it came from; returns the panel after it."""
        energies = dict(energies or {})
        strange = [name for name in energies if name not in self.terms]
        if strange:
            shown = ", ".join(self.terms) or "none"
            raise ValueError(f"energy term {strange[0]} was not announced; the film shows {shown}.")
        self.step += 1
        self.total_return += reward
        self._surprise, self._energies = surprise, energies
        if surprise is not None:
            self._surprises.append(surprise)
        sizes = [abs(value) for value in energies.values() if math.isfinite(value)]
        if sizes:
            # Up at once, down slowly: a bar never leaves its track and never twitches for the scale's sake.
            self.scale = max(max(sizes), self.scale * _FORGET)
        return self.panel()

    def panel(self) -> FilmPanel:
        """The panel as things stand: step 0 before anything was told, for the picture after a reset."""
        return FilmPanel(
            env=self.env,
            agent=self.agent,
            step=self.step,
            seconds=self.step * self.seconds_per_decision,
            total_return=self.total_return,
            surprise=self._surprise,
            surprises=tuple(self._surprises),
            watches_surprise=self.surprise,
            terms=self.terms,
            energies=self._energies,
            scale=self.scale or 1.0,
        )


def annotate(frame: Frame, *, panel: FilmPanel) -> Frame:
    """The frame with its strip below, uint8 [height + strip, width, 3], both sides even.

    Raises ValueError for a frame that is not uint8 [height, width, 3].
    """
    picture = _even(frame)
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
    if panel.watches_surprise:
        left = round(148 * unit)
        _surprise(draw, panel.surprise, left, top, unit)
        # Beside energies the history goes below the number, without them to its right.
        x0, y0, x1 = (left, top + round(46 * unit), round(250 * unit))
        if not panel.terms:
            x0, y0, x1 = (round(252 * unit), top, width - margin - round(60 * unit))
        _history(image, draw, panel.surprises, (x0, y0, x1, bottom), unit)
    if panel.terms:
        _energies(draw, panel, round(326 * unit), top, width - margin, bottom, unit)
    return np.concatenate([picture, np.asarray(image)], axis=0)


def strip_height(width: int, *, terms: int) -> int:
    """Pixels the strip takes under a frame of this (even) width; an even number."""
    rows = max(124, 72 + 17 * terms) if terms else 98
    return 2 * round(rows * width / 640.0 / 2)


def side_by_side(frames: Sequence[Frame], titles: Sequence[str]) -> Frame:
    """Frames in a row, each under its title, for "what happened" beside "what was foreseen".

    Shorter frames get dark ground below. Raises ValueError where titles and frames do not match in number.
    """
    if not frames or len(frames) != len(titles):
        raise ValueError(f"there must be as many titles as frames, not {len(titles)} for {len(frames)}.")
    pictures = [_even(frame) for frame in frames]
    tallest = max(picture.shape[0] for picture in pictures)
    gap = 4
    width = sum(picture.shape[1] for picture in pictures) + gap * (len(pictures) - 1)
    unit = min(picture.shape[1] for picture in pictures) / 640.0
    bar = 2 * round(17 * unit)
    sheet = Image.new("RGB", (width, bar + tallest), PAPER)
    draw = ImageDraw.Draw(sheet)
    left = 0
    for picture, title in zip(pictures, titles, strict=True):
        font = _font(round(17 * unit), bold=True)
        text = _fitted(title, font, picture.shape[1] - 2 * round(16 * unit))
        draw.text((left + round(16 * unit), bar // 2), text, fill=INK, font=font, anchor="lm")
        sheet.paste(Image.fromarray(picture), (left, bar))
        left += picture.shape[1] + gap
    return np.asarray(sheet)


def _title(draw: ImageDraw.ImageDraw, panel: FilmPanel, width: int, margin: int, y: int, unit: float) -> None:
    font, strong = _font(round(15 * unit)), _font(round(15 * unit), bold=True)
    clock = f"step {panel.step:,}   {panel.seconds:.2f} s"
    draw.text((width - margin, y), clock, fill=QUIET, font=font, anchor="rm")
    # The clock's widest form is set aside, so that a long env id never runs into it or moves with it.
    room = width - 2 * margin - font.getlength("step 000,000   0000.00 s") - 12 * unit
    agent = f"   {panel.agent}"
    env = _fitted(panel.env, strong, room - font.getlength(agent))
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
    draw.text((left, top), name, fill=QUIET, font=_font(round(12 * unit)), anchor="lt")
    draw.text(
        (left, top + round(18 * unit)), value, fill=ink, font=_font(round(23 * unit), bold=True), anchor="lt"
    )


def _surprise(draw: ImageDraw.ImageDraw, value: float | None, left: int, top: int, unit: float) -> None:
    shown = "—" if value is None else f"{value:.2f}" if value < 100 else _short(value)
    alarmed = value is not None and not value <= _ALARMING
    _number(draw, "surprise", shown, left, top, unit, ALARM if alarmed else INK)


def _history(
    image: Image.Image,
    draw: ImageDraw.ImageDraw,
    surprises: Sequence[float],
    box: tuple[int, int, int, int],
    unit: float,
) -> None:
    """The latest surprises on a square-root axis, newest at the right, with the level 1, "as usual", marked.

    Drawn threefold and shrunk, because pillow's lines are not smoothed.
    """
    width, height = (box[2] - box[0]) * _SMOOTH, (box[3] - box[1]) * _SMOOTH
    pitch = 1.6 * unit * _SMOOTH
    recent = [entry for entry in surprises if math.isfinite(entry)][-int(width / pitch) :]
    ceiling = math.sqrt(max([3.0, *recent]))
    chart = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(chart)

    def level(entry: float) -> float:
        return (height - 1 - 2 * _SMOOTH) * (1.0 - math.sqrt(max(entry, 0.0)) / ceiling) + _SMOOTH

    usual = level(1.0)
    for x in range(0, width, 8 * _SMOOTH):
        pen.line([(x, usual), (x + 4 * _SMOOTH, usual)], fill=QUIET, width=_SMOOTH)
    thick = max(_SMOOTH, round(1.7 * _SMOOTH * unit))
    start = width - 1 - pitch * (len(recent) - 1)
    for i in range(1, len(recent)):
        ends = [(start + pitch * j, level(recent[j])) for j in (i - 1, i)]
        pen.line(ends, fill=ALARM if max(recent[i - 1 : i + 1]) > _ALARMING else CALM, width=thick)
    image.paste(chart.resize((box[2] - box[0], box[3] - box[1]), Image.Resampling.BOX), box[:2])
    note = (box[2] + round(5 * unit), box[1] + usual / _SMOOTH)
    draw.text(note, "as usual", fill=QUIET, font=_font(round(11 * unit)), anchor="lm")


def _energies(
    draw: ImageDraw.ImageDraw, panel: FilmPanel, left: int, top: int, right: int, bottom: int, unit: float
) -> None:
    """A bar per term on one scale, from zero: left is good, right is bad. Lengths go with the square root."""
    small, font = _font(round(12 * unit)), _font(round(12.5 * unit))
    draw.text((left, top), "energy of the plan, √ scale (low is good)", fill=QUIET, font=small, anchor="lt")
    first = top + round(19 * unit)
    pitch = min(17 * unit, (bottom - first) / len(panel.terms))
    names, values = round(92 * unit), round(58 * unit)
    x0, x1 = left + names, right - values
    zero, reach = (x0 + x1) / 2, (x1 - x0) / 2
    for index, term in enumerate(panel.terms):
        y = first + pitch * (index + 0.5)
        draw.text((left, y), _fitted(term, font, names - 8 * unit), fill=INK, font=font, anchor="lm")
        draw.rectangle([x0, y - 0.5 * unit, x1, y + 0.5 * unit], fill=RULE)
        value = panel.energies.get(term)
        if value is None:
            draw.text((right, y), "—", fill=QUIET, font=font, anchor="rm")
            continue
        share = min(1.0, math.sqrt(abs(value) / panel.scale)) if math.isfinite(value) else 1.0
        if not math.isnan(value):
            end = zero + math.copysign(reach * share, value)
            half = 5 * unit
            draw.rectangle([min(zero, end), y - half, max(zero, end), y + half], fill=COLOURS[index])
        draw.text((right, y), _short(value), fill=INK, font=font, anchor="rm")
    draw.line(
        [(zero, first), (zero, first + pitch * len(panel.terms))], fill=QUIET, width=max(1, round(unit))
    )


def _short(value: float) -> str:
    """A number in at most seven characters, its minus a true one."""
    if not math.isfinite(value):
        return {math.inf: "∞", -math.inf: f"{_MINUS}∞"}.get(value, "undefined")
    size = abs(value)
    if size >= 1e6:
        text = f"{size:.1e}".replace("e+0", "e").replace("e+", "e")
    else:
        text = f"{size:,.0f}" if size >= 1000 else f"{size:.1f}" if size >= 10 else f"{size:.2f}"
    return f"{_MINUS}{text}" if value < 0 and text.strip("0.") else text


def _fitted(text: str, font: ImageFont.FreeTypeFont, room: float) -> str:
    """The text, cut with an ellipsis where it is wider than `room` pixels."""
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "…") > room:
        text = text[:-1]
    return text + "…"


def _even(frame: Frame) -> Frame:
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        raise ValueError(f"a frame must be uint8 [height, width, 3], not {frame.dtype} {list(frame.shape)}.")
    odd_height, odd_width = frame.shape[0] % 2, frame.shape[1] % 2
    if odd_height or odd_width:
        return np.pad(frame, ((0, odd_height), (0, odd_width), (0, 0)), mode="edge")
    return frame


@lru_cache(maxsize=64)
def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans from matplotlib's own files: the same letters on every machine, and digits of one width."""
    spec = find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the film strip needs matplotlib's fonts: pip install matplotlib")
    fonts = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"
    return ImageFont.truetype(fonts / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"), max(size, 7))
