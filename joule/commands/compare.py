"""Compare runs: mean, IQM, 95 % intervals and CPU time per environment and agent.

python compare.py runs/a runs/b                          two runs or more
python compare.py --results benchmarks/results           every result in a tree
python compare.py --results benchmarks/results --readme README.md

It prints the table and writes compare.html, compare.png, table.md and table.csv.
The score of a run is its last evaluation at the budget, never the best.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.errors import ConfigError
from joule import threads
from joule.cli import signals
from joule.cli.parser import Parser, whole_number
from joule.escaping import terminal

if TYPE_CHECKING:
    from joule.report.table import Row

OUT = Path("comparison")
"""Where the files go by default."""
LONGEST_CELL, LONGEST_LINE = 200, 2_000
"""Characters of a name and of a sentence that are printed; the files hold them all."""


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison."""

    rows: list[Row]
    """One per task and agent."""
    sentences: list[str]
    """What a reader of the table must know, the probabilities of improvement, and the pooled scores."""
    written: list[Path]
    """The files that were written."""

    def markdown(self) -> str:
        """The table and the sentences as GitHub markdown."""
        from joule.report import table

        return table.markdown(self.rows, self.sentences)


class Unwritten(ConfigError):
    """A file of a comparison cannot be written. What was compared is not lost with it.

    Args:
        sentence: for the user.
        comparison: the result, without files.
    """

    def __init__(self, sentence: str, comparison: Comparison) -> None:
        super().__init__(sentence)
        self.comparison = comparison

    def __reduce__(self) -> tuple[type[Unwritten], tuple[str, Comparison]]:
        return type(self), (str(self), self.comparison)  # a process pool hands it over with both


def parser() -> Parser:
    """The options of this command."""
    p = Parser(prog="compare.py", description=__doc__, operands="RUN ...")
    p.add_argument("runs", nargs="*", type=Path, metavar="RUN", help="run folders")
    p.add_argument("--results", action="append", default=[], type=Path, metavar="DIR",
                   help="a tree of results, <suite>/<agent>/<env>/seed<k>.csv; repeatable")  # fmt: skip
    p.add_argument("--out", type=Path, default=OUT, metavar="DIR", help="where to (default: %(default)s)")
    p.add_argument("--at", type=whole_number, metavar="FRAMES",
                   help="budget: the last evaluation at or below it counts (default: the last)")  # fmt: skip
    p.add_argument("--markdown", action="store_true", help="print the table as markdown")
    markers = "<!-- results:begin --> and <!-- results:end -->"
    p.add_argument("--readme", type=Path, metavar="FILE",
                   help=f"a Markdown file; the table replaces what is between {markers}")  # fmt: skip
    p.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return p


def compare(
    runs: Sequence[Path | str] = (),
    results: Sequence[Path | str] = (),
    *,
    out: Path = OUT,
    at: int | None = None,
    readme: Path | None = None,
) -> Comparison:
    """Compares runs, and writes the page, the figure and the tables. Refused input leaves no file.

    Args:
        runs: run folders.
        results: trees of results.
        out: folder for the files; it is made where it is missing.
        at: budget in frames; None takes the last evaluation of each run.
        readme: a Markdown file whose table between the markers is replaced; it may be a link to one.

    Raises:
        ResultsError: for results that cannot be read or compared, or a page without its markers.
        Unwritten: where a file cannot be written; its `comparison` has the result.
    """
    from joule.report import forecasts, legibility, markdown_page, table
    from joule.report.results import gather

    found = gather(runs, results)
    rows = table.rows(found, at)
    pairs, pooled, notes = table.pairs(rows), table.pooled(rows), table.notes(rows, found)
    over_tasks = [entry.sentence() for entry in pooled]
    sentences = [*notes, *table.pair_sentences(pairs), *over_tasks]
    kept = [(run, forecasts.read(run.source, int(run.frames[run.at(at)]))) for run in found]
    forecast_logs = [(run, entries) for run, entries in kept if entries is not None]
    read = [(run, legibility.read(run.source, int(run.frames[run.at(at)]))) for run in found]
    texts = {
        out / "table.md": table.markdown(rows, sentences),
        out / "table.csv": table.comma_separated(rows),
    }
    if readme is not None:
        if readme.is_symlink():  # a page that the user names may be a link; what it points to is changed
            readme = Path(os.path.realpath(readme))
        texts[readme] = markdown_page.with_table(readme, table.markdown(rows, [*notes, *over_tasks]))

    from joule.report import curves, page
    from joule.storage.files import DISK, replace_file, why
    from joule.storage.links import check_plain

    html = page.build(
        rows, found, folder=out, pairs=pairs, pooled=pooled, notes=notes, forecast_logs=forecast_logs,
        read=[(run, of_run) for run, of_run in read if of_run],
    )  # fmt: skip
    path = out
    try:
        DISK.make(out)
        for path in (out / "compare.html", out / "compare.png", *texts):
            check_plain(path)
        curves.compare(found, out / "compare.png")
        for path, text in {out / "compare.html": html, **texts}.items():
            replace_file(path, text.encode(errors="backslashreplace"))  # of paths that are not UTF-8
    except OSError as error:
        raise Unwritten(f"{path} cannot be written: {why(error)}", Comparison(rows, sentences, [])) from error
    return Comparison(rows, sentences, [out / "compare.html", out / "compare.png", *texts])


def show(comparison: Comparison) -> None:
    """Prints the table and the sentences."""
    from rich.table import Table

    from joule.report.console import PipeSafeConsole
    from joule.report.table import HEADINGS

    console = PipeSafeConsole()
    if not console.is_terminal:
        console = PipeSafeConsole(width=160)
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for index, heading in enumerate(HEADINGS):
        shown.add_column(heading, justify="left" if index < 2 else "right", overflow="fold")
    above = None
    for row in comparison.rows:
        if above not in (None, row.task):
            shown.add_row()
        task, *cells = (terminal(cell, LONGEST_CELL) for cell in row.cells())
        shown.add_row(task if row.task != above else "", *cells, style="dim" if row.trivial else None)
        above = row.task
    console.print(shown)
    console.print()
    for sentence in comparison.sentences:
        console.print(terminal(sentence, LONGEST_LINE))


@signals.unwinding()
def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns its exit code.

    Raises:
        Refused: for input that cannot be used, with one sentence.
    """
    options = parser().parse(arguments)
    if options.at is not None and options.at < 1:
        raise ConfigError(f"--at: {options.at} is less than 1")
    if not options.runs and not options.results:
        raise ConfigError("nothing to compare: give run folders, or --results with a folder of results")
    threads.set_variables(1)
    unwritten: Unwritten | None = None
    try:
        comparison = compare(
            options.runs, options.results, out=options.out, at=options.at, readme=options.readme
        )
    except Unwritten as error:
        comparison, unwritten = error.comparison, error
    if options.markdown:
        print(comparison.markdown(), end="", flush=True)
    else:
        show(comparison)
    if unwritten is not None:  # such as on a full disk; the comparison has been shown
        raise unwritten
    print(f"wrote {', '.join(terminal(str(path)) for path in comparison.written)}", file=sys.stderr)
    return 0
