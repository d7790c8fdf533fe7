"""The door for comparing: runs in, an honest table out, with curves and one HTML page.

    python compare.py runs/a runs/b                          two runs, or two hundred
    python compare.py --results benchmarks/results           every committed result
    python compare.py --results benchmarks/results --readme README.md

The score of a run is its last evaluation at the budget, never the best.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent.errors import ConfigError
from joule.cli.options import Parser, whole_number
from joule_errors import Refused

if TYPE_CHECKING:
    from joule.report.table import Row

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"


class Refusal(Refused):
    """Bad input; the message is one sentence."""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options. Raises Refusal for one that does not exist, with the nearest one that does."""
    parser = Parser(
        prog="compare.py",
        description="Compare runs: mean, IQM, 95 % intervals and CPU time per environment and agent;\n"
        "writes compare.png, compare.html, table.md and table.csv.",
    )
    parser.add_argument(
        "runs", nargs="*", type=Path, metavar="RUN", help="run folders, as train.py writes them"
    )
    parser.add_argument(
        "--results",
        action="append",
        default=[],
        type=Path,
        metavar="DIR",
        help="a tree of results, <suite>/<agent>/<env>/seed<k>.csv; may be given several times",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("comparison"), metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--at",
        type=whole_number,
        metavar="FRAMES",
        help="budget: the last evaluation at or below it counts",
    )
    parser.add_argument("--markdown", action="store_true", help="print the table as markdown")
    parser.add_argument(
        "--readme",
        type=Path,
        metavar="FILE",
        help=f"put the table between {BEGIN} and {END} here",
    )
    try:
        options = parser.parse(arguments)
    except ConfigError as error:
        sentence = str(error)
        end = "" if sentence.endswith("?") else "."
        raise Refusal(f"{sentence[0].upper()}{sentence[1:].rstrip('.')}{end}") from None
    if options.at is not None and options.at < 1:
        raise Refusal(f"--at must be a positive number of frames, not {options.at}.")
    if not options.runs and not options.results:
        raise Refusal("Nothing to compare: give run folders, or --results with a folder of results.")
    return options


def replace_results(
    text: str, table: str, name: str = "the file", markers: tuple[str, str] = (BEGIN, END)
) -> str:
    """`text` with the table put between its two markers. Raises Refusal unless each stands there once."""
    begin, end = markers
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise Refusal(f"{name} must hold {begin} and, after it, {end}, each once.")
    head, rest = text.split(begin)
    return f"{head}{begin}\n\n{table.strip()}\n\n{end}{rest.split(end)[1]}"


def write(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        if path.exists():
            os.chmod(draft, path.stat().st_mode)
        else:
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(draft, 0o666 & ~mask)
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def compare(options: argparse.Namespace) -> None:
    """Reads, reckons, prints and writes. Raises Refusal or ResultsError before anything is written."""
    from joule.report import forecasts as forecast_log
    from joule.report import results, table

    runs = results.gather(options.runs, options.results)
    rows = table.rows(runs, options.at)
    pairs, pooled, notes = table.pairs(rows), table.pooled(rows), table.notes(rows, runs)
    over_tasks = [entry.sentence() for entry in pooled]
    sentences = [*notes, *(pair.sentence() for pair in pairs), *over_tasks]
    kept = [(run, forecast_log.read(run.source, int(run.frames[run.at(options.at)]))) for run in runs]
    forecast_logs = [(run, entries) for run, entries in kept if entries is not None]
    markdown = table.markdown(rows, sentences)
    readme = None
    if options.readme is not None:
        if not options.readme.is_file():
            raise Refusal(f"{options.readme} is not a file.")
        text = options.readme.read_text(encoding="utf-8")
        readme = replace_results(text, table.markdown(rows, [*notes, *over_tasks]), str(options.readme))
    options.out.mkdir(parents=True, exist_ok=True)

    from joule.report import curves, page

    curves.compare(runs, options.out / "compare.png")
    html = page.build(rows, runs, pairs=pairs, pooled=pooled, notes=notes, forecast_logs=forecast_logs)
    write(options.out / "compare.html", html)
    write(options.out / "table.md", markdown)
    write(options.out / "table.csv", table.comma_separated(rows))
    written = [str(options.out / name) for name in ("compare.html", "compare.png", "table.md", "table.csv")]
    if readme is not None:
        write(options.readme, readme)
        written.append(str(options.readme))
    if options.markdown:
        print(markdown, end="", flush=True)
    else:
        _show(rows, sentences)
    print(f"Wrote {', '.join(written)}.", file=sys.stderr)


def _show(rows: Sequence[Row], sentences: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    from joule.report.table import HEADINGS

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=160)
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for index, heading in enumerate(HEADINGS):
        shown.add_column(heading, justify="left" if index < 2 else "right", overflow="fold")
    above = None
    for row in rows:
        if above not in (None, row.task):
            shown.add_row()
        task, *cells = row.cells()
        shown.add_row(task if row.task != above else "", *cells, style="dim" if row.trivial else None)
        above = row.task
    console.print(shown)
    console.print()
    for sentence in sentences:
        console.print(sentence, markup=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 for bad input, with one sentence on stderr."""
    try:
        compare(parse(sys.argv[1:] if arguments is None else arguments))
    except BrokenPipeError:
        # `compare.py … | head`: the reader has seen enough; keep the interpreter from saying so at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as fault:
        print(f"{fault.filename or 'output'} cannot be used: {fault.strerror or fault}.", file=sys.stderr)
        return 2
    except ValueError as fault:
        print(fault, file=sys.stderr)
        return 2
    return 0
