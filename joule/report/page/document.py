"""The page as text: its template filled with the table, the curves, the films and the settings.

The page loads nothing from the network: style, script, figures and small films are in it. A policy in its head
lets the browser run this one script only, whatever a name might contain. Without the script everything can be
read; with it, tables sort and curves show their values.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from joule.escaping import terminal
from joule.report import forecast_figure, legibility
from joule.report.amounts import count
from joule.report.evaluations import Run
from joule.report.forecasts import Entries
from joule.report.page import films, panels
from joule.report.page.setting_differences import differences
from joule.report.plot_style import encoded, styles
from joule.report.table import HEADINGS, Pair, Pooled, Row, number, pair_sentences

TEMPLATE, STYLE, SCRIPT = "comparison.html.j2", "comparison.css", "comparison.js"


def build(
    table: Sequence[Row],
    runs: Sequence[Run],
    *,
    folder: Path = Path(),
    pairs: Sequence[Pair] = (),
    pooled: Sequence[Pooled] = (),
    notes: Sequence[str] = (),
    forecast_logs: Sequence[tuple[Run, Entries]] = (),
    read: Sequence[tuple[Run, Mapping[str, float]]] = (),
    title: str = "Joule: a comparison",
) -> str:
    """The page as text.

    Args:
        table: the rows of the comparison.
        runs: the labelled runs behind them.
        folder: where the page will be; links to large films begin there.
        pairs: probabilities of improvement.
        pooled: scores over several tasks.
        notes: sentences below the table.
        forecast_logs: runs that have a forecast log, with its entries.
        read: runs that say how well readouts are read, with R² by name.
        title: heading of the page.
    """
    loader = PackageLoader("joule.report")
    pages = Environment(
        loader=loader,
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    style, script = (_source(loader, pages, name) for name in (STYLE, SCRIPT))
    agents, tasks = len({row.label for row in table}), len({row.task for row in table})
    looks = styles(runs)
    return pages.get_template(TEMPLATE).render(
        title=title,
        style=style,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
        lead=f"{count(len(runs), 'run')} of {count(agents, 'agent')} on {count(tasks, 'task')}.",
        headings=HEADINGS,
        scores=_scores(table),
        notes=notes,
        legend=panels.legend(runs, looks),
        curves=panels.of_tasks(runs, looks),
        films=films.of_rows(table, runs, folder),
        pairs=pair_sentences(pairs),
        pooled=[entry.sentence() for entry in pooled],
        forecasts=_forecasts(forecast_logs),
        forecast_figures=_forecast_figures(forecast_logs),
        readouts=_readouts(read),
        settings=differences(runs),
        runs=sorted(runs, key=lambda run: (run.task, run.trivial, run.label, run.seed)),
    )


def _shown(value: Any) -> Any:
    """A value, a path too, as the template shows it: without control characters and marks of writing direction."""
    return value if isinstance(value, Markup) else terminal(str(value))


def _source(loader: BaseLoader, pages: Environment, name: str) -> Markup:
    """A file of the templates as it is."""
    return Markup(loader.get_source(pages, name)[0])  # written by Joule, and holds no value


def _scores(table: Sequence[Row]) -> list[dict[str, Any]]:
    """The cells of each row, and the numbers by which they are sorted."""
    scores, above = [], None
    for row in table:
        _, _, *texts = row.cells()
        low = row.iqm.low if row.iqm.known else math.nan
        cpu = math.nan if row.trivial else row.cpu_minutes
        values = (math.nan if row.trivial else row.frames[1], row.mean, row.iqm.estimate, low, row.seeds, cpu)
        kinds = (("first", row.task != above), ("trivial", row.trivial))
        scores.append(
            {
                "kinds": " ".join(name for name, applies in kinds if applies),
                "task": row.task,
                "repeated": row.task == above,
                "label": row.label,
                "joule": row.label.startswith("joule"),
                "numbers": list(zip(texts, map(_sorting, values), strict=True)),
            }
        )
        above = row.task
    return scores


def _sorting(value: float) -> str:
    """A number as the script reads it; empty where it is not known."""
    return "" if math.isnan(value) else f"{value:.12g}"


def _forecasts(forecast_logs: Sequence[tuple[Run, Entries]]) -> list[dict[str, Any]]:
    """The cells of each run's calibration."""
    found = []
    for run, entries in forecast_logs:
        returns, costs = entries.of_returns(), entries.of_costs()
        figures = (returns.correlation, returns.slope, returns.bias, costs.correlation, costs.slope)
        texts = (str(run.seed), f"{returns.decisions:,}", *map(_signed, figures))
        values = map(_sorting, (run.seed, returns.decisions, *figures))
        numbers = list(zip(texts, values, strict=True))
        found.append({"task": run.task, "label": run.label, "numbers": numbers})
    return found


def _readouts(read: Sequence[tuple[Run, Mapping[str, float]]]) -> list[dict[str, Any]]:
    """The cells of each run's legibility, and R² of each readout."""
    found = []
    for run, of_run in read:
        legible, total, illegible = legibility.counted(of_run)
        every = [(name, _signed(value)) for name, value in of_run.items()]
        found.append(
            {
                "task": run.task,
                "label": run.label,
                "seed": run.seed,
                "legible": legible,
                "total": total,
                "illegible": illegible,
                "every": every,
            }
        )
    return found


def _forecast_figures(forecast_logs: Sequence[tuple[Run, Entries]]) -> list[dict[str, str]]:
    """A figure per task and agent, each in a light and a dark form, as data URIs."""
    groups: dict[tuple[str, str], list[tuple[Run, Entries]]] = {}
    for run, entries in forecast_logs:
        groups.setdefault((run.task, run.label), []).append((run, entries))
    found = []
    for (task, label), members in sorted(groups.items()):
        light, dark = (_data_uri(forecast_figure.predicted(members, dark=dark)) for dark in (False, True))
        found.append({"task": task, "label": label, "light": light, "dark": dark})
    return found


def _signed(value: float) -> str:
    """A number with a true minus sign; a dash where it is not known."""
    return "—" if math.isnan(value) else ("\N{MINUS SIGN}" if value < 0 else "") + number(abs(value))


def _data_uri(figure: Figure) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(encoded(figure, "svg")).decode("ascii")
