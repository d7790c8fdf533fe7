"""One self-contained HTML page of a comparison: table, curves, and how every number was made.

The page loads nothing from outside and runs no script. The figures are inline SVG in a light and a dark form,
and the reader's system chooses one.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from joule.report import curves, forecast_figure
from joule.report.evaluations import Run
from joule.report.forecasts import Entries
from joule.report.labels import differing
from joule.report.plot_style import encoded
from joule.report.table import HEADINGS, Pair, Pooled, Row, count, number

TEMPLATE = "comparison.html.j2"


def build(
    table: Sequence[Row],
    runs: Sequence[Run],
    *,
    pairs: Sequence[Pair] = (),
    pooled: Sequence[Pooled] = (),
    notes: Sequence[str] = (),
    forecast_logs: Sequence[tuple[Run, Entries]] = (),
    title: str = "Joule: a comparison",
) -> str:
    """The page as text.

    Args:
        table: the rows of the comparison.
        runs: the labelled runs behind them.
        pairs: probabilities of improvement.
        pooled: scores over several tasks.
        notes: sentences below the table.
        forecast_logs: runs that have a forecast log, with its entries.
        title: heading of the page.
    """
    pages = Environment(
        loader=PackageLoader("joule.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    agents, tasks = len({row.label for row in table}), len({row.task for row in table})
    return pages.get_template(TEMPLATE).render(
        title=title,
        lead=f"{count(len(runs), 'run')} of {count(agents, 'agent')} on {count(tasks, 'task')}.",
        headings=HEADINGS,
        scores=_scores(table),
        notes=notes,
        curves=_inline([curves.compare(runs, dark=dark) for dark in (False, True)]),
        pairs=[pair.sentence() for pair in pairs],
        pooled=[entry.sentence() for entry in pooled],
        forecasts=_forecasts(forecast_logs),
        forecast_figure=_inline(
            [forecast_figure.predicted(forecast_logs, dark=dark) for dark in (False, True)]
            if forecast_logs
            else []
        ),
        settings=_settings(runs),
        runs=sorted(runs, key=lambda run: (run.task, run.trivial, run.label, run.seed)),
    )


def _scores(table: Sequence[Row]) -> list[dict[str, Any]]:
    """The cells of each row; a task is named in its first row only."""
    scores, above = [], None
    for row in table:
        task, label, *numbers = row.cells()
        kinds = (("first", row.task != above), ("trivial", row.trivial))
        scores.append(
            {
                "kinds": " ".join(name for name, applies in kinds if applies),
                "task": task if row.task != above else "",
                "label": label,
                "joule": row.label.startswith("joule"),
                "numbers": numbers,
            }
        )
        above = row.task
    return scores


def _forecasts(forecast_logs: Sequence[tuple[Run, Entries]]) -> list[dict[str, Any]]:
    """The cells of each run's calibration."""
    found = []
    for run, entries in forecast_logs:
        returns, costs = entries.of_returns(), entries.of_costs()
        figures = (returns.correlation, returns.slope, returns.bias, costs.correlation, costs.slope)
        numbers = (str(run.seed), f"{returns.decisions:,}", *map(_signed, figures))
        found.append({"task": run.task, "label": run.label, "numbers": numbers})
    return found


def _settings(runs: Sequence[Run]) -> list[tuple[str, str, str, str]]:
    """Agent, setting, value and run, of each setting that differs between runs of one agent."""
    found = []
    for agent in dict.fromkeys(run.agent for run in runs):
        own = [run for run in runs if run.agent == agent and run.settings]
        for name in differing(own):
            found += [(agent, name, str(run.settings.get(name, "—")), str(run.source)) for run in own]
    return found


def _signed(value: float) -> str:
    """A number with a true minus sign; a dash where it is not known."""
    return "—" if math.isnan(value) else ("\N{MINUS SIGN}" if value < 0 else "") + number(abs(value))


def _inline(figures: Sequence[Figure]) -> dict[str, str]:
    """A figure in its light and its dark form, as data URIs."""
    return {shade: _data_uri(figure) for shade, figure in zip(("light", "dark"), figures, strict=False)}


def _data_uri(figure: Figure) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(encoded(figure, "svg")).decode("ascii")
