"""The lines in which a training run shows how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.text import Text

from joule.callbacks.callback import Activity
from joule.report.decimals import decimals
from joule.report.sparkline import ASCII, BLOCKS, History, sparkline

LABEL = 11
"""Characters of the first column."""


@dataclass
class ProgressState:
    """How far a run is."""

    device: str = ""
    steps: int = 1
    """Budget in frames."""
    frames: int = 0
    rate: float | None = None
    """Frames per second of training; None until it is known."""
    activity: Activity | None = None
    """What is done beside training now."""
    values: Mapping[str, float] = field(default_factory=dict)
    """The newest metrics."""
    warming_up: bool = False
    """Whether random actions are taken, at a rate that says nothing of what follows."""
    evaluated: Mapping[str, Any] | None = None
    """The newest row of evaluations.csv."""
    returns: History = field(default_factory=History)
    """Returns of the training episodes."""
    newest_return: float | None = None
    cpu_share: float | None = None
    """1 is one core."""
    memory: int | None = None
    """In bytes."""
    unit: str = "frames"
    """What is counted: gradient steps, where a run learns from data."""

    @property
    def seconds_left(self) -> float | None:
        """Of training, without evaluations; None where it is not known."""
        return (self.steps - self.frames) / self.rate if self.rate and not self.warming_up else None


def block(progress: ProgressState, width: int, ascii_only: bool = False) -> list[Text]:
    """The lines for a terminal.

    Args:
        progress: how far the run is.
        width: characters of a line.
        ascii_only: for a terminal without Unicode.
    """
    p = progress
    share = min(1.0, p.frames / p.steps)
    left = "" if p.seconds_left is None else f"  {duration(p.seconds_left)} left"
    lines = [bar("training", share, f"{left:>14}", width, ascii_only, running=p.activity is None)]
    counts = f"{p.frames:,} of {p.steps:,} {p.unit}"
    lines.append(_row("", counts if p.rate is None else f"{counts}, {p.rate:,.0f} a second"))
    if p.activity is not None:
        ended = f"  {p.activity.episodes_ended} of {p.activity.episodes}"
        lines.append(bar(p.activity.name, p.activity.done, f"{ended:>14}", width, ascii_only))
    if p.newest_return is not None:
        number = decimals(p.newest_return, 1)
        drawn = sparkline(p.returns.values, width - LABEL - 16, ASCII if ascii_only else BLOCKS)
        lines.append(_row("return", f"{drawn}  {number}" if drawn else number))
    if p.evaluated is not None:
        mean, std, frames = (p.evaluated[name] for name in ("return_mean", "return_std", "frames"))
        lines.append(_row("evaluated", f"{decimals(mean, 1)} ± {decimals(std, 1)} at {frames:,} {p.unit}"))
    if known := measurements(p.values):
        lines.append(_row("measured", "  ".join(f"{name} {value}" for name, value in known)))
    if energies := energy(p.values):
        lines.append(_row("energy", "  ".join(f"{name} {value}" for name, value in energies)))
    lines.append(_row("machine", load(p)))
    return lines


def line(progress: ProgressState) -> str:
    """One line for a file or a pipe."""
    p = progress
    parts = [f"{p.frames:>9,} {p.unit}  {100 * min(1.0, p.frames / p.steps):>3.0f} %"]
    if p.activity is not None:
        parts.append(
            f"{p.activity.name} {100 * p.activity.done:.0f} %, {p.activity.episodes_ended} of "
            f"{p.activity.episodes} episodes"
        )
    else:
        if p.newest_return is not None:
            parts.append(f"return {decimals(p.newest_return, 1)}")
        parts += [f"{name} {value}" for name, value in (*measurements(p.values), *energy(p.values))]
        if p.rate is not None:
            parts.append(f"{p.rate:,.0f} {p.unit}/s")
        if p.seconds_left is not None:
            parts.append(f"{duration(p.seconds_left)} left")
    return "  ".join([*parts, load(p)])


def measurements(values: Mapping[str, float]) -> list[tuple[str, str]]:
    """Names and texts of what is shown of the metrics."""
    named = [("surprise", "surprise", "{:.2f}"), ("latent rank", "latent/rank", "{:.1f}")]
    return [(label, form.format(values[name])) for label, name, form in named if name in values]


def energy(values: Mapping[str, float]) -> list[tuple[str, str]]:
    """Names and texts of the energy terms."""
    return [
        (name.removeprefix("energy/"), decimals(values[name], 2))
        for name in sorted(values)
        if name.startswith("energy/")
    ]


def load(progress: ProgressState) -> str:
    """Device, CPU share and memory."""
    parts = [progress.device]
    if progress.cpu_share is not None:
        parts.append(f"{100 * progress.cpu_share:.0f} % of a core")
    if progress.memory is not None:
        parts.append(f"{progress.memory / 1e6:,.0f} MB")
    return ", ".join(part for part in parts if part)


def duration(seconds: float) -> str:
    """Hours, minutes and seconds, as in 1:02:03 or 2:03."""
    whole = round(min(max(seconds, 0.0), 999 * 3600.0))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def _row(label: str, text: str) -> Text:
    return Text(no_wrap=True).append(f"{label:<{LABEL}}", style="dim").append(text)


def bar(label: str, share: float, text: str, width: int, ascii_only: bool, running: bool = True) -> Text:
    """A label, a bar, its share in per cent, and a text."""
    share = min(max(share, 0.0), 1.0)
    length = max(4, width - LABEL - 6 - len(text))
    full = int(share * length)
    done, rest = ("#", ".") if ascii_only else ("━", "─")  # they differ without colours too
    drawn = Text(no_wrap=True).append(f"{label:<{LABEL}}", style="dim")
    drawn.append(done * full, style="green" if running else "")
    drawn.append(rest * (length - full), style="bright_black")
    return drawn.append(f" {100 * share:>3.0f} %{text}")
