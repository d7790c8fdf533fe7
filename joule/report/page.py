"""One self-contained HTML page of a comparison: table, curves, and how every number was made.

Nothing is loaded from outside and no script runs: the figures are inline pictures in a light and a dark
form, and the reader's system picks. The page works from a file, in a mail, or on a projector.
"""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from joule.report import curves, results
from joule.report.forecasts import Entries
from joule.report.results import Run
from joule.report.table import HEADINGS, Pair, Pooled, Row, number

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2126; --quiet: #5b626c; --paper: #ffffff; --edge: #dfe2e6;
        --band: #f6f7f8; --accent: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaed; --quiet: #a7adb6; --paper: #16191d; --edge: #2c3138; --band: #1d2126;
          --accent: #4aa3ec; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.5rem 4rem; max-width: 62rem; background: var(--paper);
       color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .3rem; }
h2 { font-size: 1.15rem; margin: 2.6rem 0 .8rem; }
p, li { max-width: 46rem; } .lead { color: var(--quiet); margin: 0 0 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .95rem; }
th, td { padding: .45rem .7rem; text-align: right; white-space: nowrap;
         border-bottom: 1px solid var(--edge); }
th { color: var(--quiet); font-weight: 600; } .text { text-align: left; }
tbody tr.first td { border-top: 2px solid var(--edge); } tr.floor td { color: var(--quiet); }
td.task { font-weight: 600; } td.joule { color: var(--accent); font-weight: 600; }
img { width: 100%; height: auto; display: block; }
ul { padding-left: 1.2rem; } li { margin: .25rem 0; }
code { font: .85em/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; background: var(--band);
       padding: .1em .35em; border-radius: 4px; white-space: pre-wrap; overflow-wrap: anywhere; }
td.command { white-space: normal; min-width: 20rem; }
"""


def build(
    table: Sequence[Row],
    runs: Sequence[Run],
    *,
    pairs: Sequence[Pair] = (),
    pooled: Sequence[Pooled] = (),
    notes: Sequence[str] = (),
    ledgers: Sequence[tuple[Run, Entries]] = (),
    title: str = "Joule: a comparison",
) -> str:
    """The page as text. Everything that came from a file is escaped."""
    agents, tasks = len({row.label for row in table}), len({row.task for row in table})
    lead = f"{_plural(len(runs), 'run')} of {_plural(agents, 'agent')} on {_plural(tasks, 'task')}."
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        f'<p class="lead">{lead} The number of seeds stands beside every score.</p>',
        _scores(table),
        _bullets(notes),
        "<h2>Learning curves</h2>",
        _picture(
            [curves.compare(runs, dark=shade) for shade in (False, True)],
            "Return against frames and CPU-minutes, one panel per task",
        ),
        "<p>Lines are means over seeds, bands their minimum and maximum at equal frames. "
        "The lower panels set the same evaluations against the CPU time that training took.</p>",
    ]
    if pairs:
        parts += [
            "<h2>Who beats whom</h2>",
            "<p>The probability that a run of the one scores above a run of the other on the same task; "
            "0.5 is no difference, and it says nothing of by how much.</p>",
            _bullets([pair.sentence() for pair in pairs]),
        ]
    if pooled:
        parts += ["<h2>Over the dm_control tasks</h2>", _bullets([entry.sentence() for entry in pooled])]
    parts += [_foretold(ledgers), _settings(runs), "<h2>The runs</h2>", _runs(runs)]
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en-GB">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _scores(table: Sequence[Row]) -> str:
    head = _header(HEADINGS, left=2)
    lines, above = [], None
    for row in table:
        task, label, *numbers = row.cells()
        classes = " ".join(name for name, on in (("first", row.task != above), ("floor", row.floor)) if on)
        shown = task if row.task != above else ""
        kind = "text joule" if row.label.startswith("joule") else "text"
        cells = f'<td class="text task">{html.escape(shown)}</td><td class="{kind}">{html.escape(label)}</td>'
        cells += "".join(f"<td>{html.escape(cell)}</td>" for cell in numbers)
        lines.append(f'<tr class="{classes}">{cells}</tr>')
        above = row.task
    return _table(head, lines)


def _settings(runs: Sequence[Run]) -> str:
    """Settings that differ between runs of one agent; nothing where they all agree."""
    lines = []
    for agent in dict.fromkeys(run.agent for run in runs):
        own = [run for run in runs if run.agent == agent and run.settings]
        for name in results.differing(own):
            for run in own:
                cells = (agent, name, str(run.settings.get(name, "—")), str(run.source))
                lines.append(
                    "<tr>" + "".join(f'<td class="text">{html.escape(cell)}</td>' for cell in cells) + "</tr>"
                )
    if not lines:
        return ""
    return "<h2>Settings that differ</h2>" + _table(
        _header(("agent", "setting", "value", "run"), left=4), lines
    )


def _runs(runs: Sequence[Run]) -> str:
    head = _header(
        ("agent", "environment", "seed", "frames", "CPU-min", "version", "file", "command"), left=2
    )
    lines = []
    for run in sorted(runs, key=lambda run: (run.task, run.floor, run.label, run.seed)):
        numbers = (str(run.seed), f"{int(run.frames[-1]):,}", f"{run.cpu_minutes[-1]:.1f}")
        command = f"<code>{html.escape(run.command)}</code>" if run.command else "—"
        cells = [f'<td class="text">{html.escape(cell)}</td>' for cell in (run.label, run.task)]
        cells += [f"<td>{cell}</td>" for cell in numbers]
        cells += [
            f'<td class="text"><code>{html.escape(cell)}</code></td>'
            for cell in (run.version[:12], str(run.source))
        ]
        lines.append(f'<tr>{"".join(cells)}<td class="text command">{command}</td></tr>')
    return _table(head, lines)


def _foretold(ledgers: Sequence[tuple[Run, Entries]]) -> str:
    """What decisions foretold, against what came; nothing where no run kept a ledger."""
    if not ledgers:
        return ""
    names = ("environment", "agent", "seed", "decisions", "correlation", "slope", "bias")
    lines = []
    for run, entries in ledgers:
        returns, costs = entries.of_returns(), entries.of_costs()
        figures = (returns.correlation, returns.slope, returns.bias, costs.correlation, costs.slope)
        cells = [f'<td class="text">{html.escape(cell)}</td>' for cell in (run.task, run.label)]
        numbers = (str(run.seed), f"{returns.decisions:,}", *map(_figure, figures))
        lines.append(f"<tr>{''.join(cells)}{''.join(f'<td>{cell}</td>' for cell in numbers)}</tr>")
    return "\n".join(
        [
            "<h2>What was foretold, and what came</h2>",
            "<p>A decision foretells the discounted return to the episode's end: minus the costs that its "
            "plan foresees, and the critic's beyond. "
            "Each dot is a decision of the last evaluation; on the dashed line it was right. With a "
            "slope of one and a bias of zero the word was kept; the bias is by how much too much was "
            "foretold. Decisions near a time limit are left out, because what would have followed is not "
            "known. The last two columns are those of the next step's cost.</p>",
            _picture(
                [curves.foretold(ledgers, dark=shade) for shade in (False, True)],
                "Returns that came against returns that were foretold, one panel per task and agent",
            ),
            _table(_header((*names, "next cost: correlation", "slope"), left=2), lines),
        ]
    )


def _figure(value: float) -> str:
    """A number with about three figures, its minus a true one; a dash where it is not known."""
    return "—" if math.isnan(value) else ("\N{MINUS SIGN}" if value < 0 else "") + number(abs(value))


def _picture(shades: Sequence[Figure], words: str) -> str:
    """A figure in its light and its dark form, of which the reader's system shows one."""
    light, dark = map(_inline, shades)
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" alt="{words}"></picture>'
    )


def _inline(figure: Figure) -> str:
    buffer = io.BytesIO()
    curves.save(figure, buffer)
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _header(names: Sequence[str], left: int) -> str:
    # The columns of words, first and last, stand left; the numbers between them right.
    words = {*names[:left], "version", "file", "command"}
    cells = "".join(
        f'<th class="text">{name}</th>' if name in words else f"<th>{name}</th>" for name in names
    )
    return f"<thead><tr>{cells}</tr></thead>"


def _table(head: str, lines: Sequence[str]) -> str:
    return f'<div class="wide"><table>{head}<tbody>\n' + "\n".join(lines) + "\n</tbody></table></div>"


def _bullets(sentences: Sequence[str]) -> str:
    if not sentences:
        return ""
    return "<ul>" + "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences) + "</ul>"


def _plural(amount: int, noun: str) -> str:
    return f"{amount} {noun}{'s' * (amount != 1)}"
