"""Nothing that a command prints controls the terminal, whoever wrote it."""

from __future__ import annotations

import io
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest
from hostile_text import NAMES, control_characters
from rich.table import Table
from rich.text import Text

from joule.callbacks.callback import Measurement, RunStart
from joule.cli.main import LONGEST_SENTENCE, run_command
from joule.report.console import PipeSafeConsole
from joule.report.progress import Progress
from joule.terminal import PrintableStream, print_printable
from joule_errors import Refused


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def redirected(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What reaches stdout and stderr from now on."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def test_what_is_printed_is_printable(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = redirected(monkeypatch)
    print_printable()
    print_printable()
    assert isinstance(sys.stdout, PrintableStream)
    assert sys.stdout.stream is printed, "a second call adds nothing"
    for name in NAMES.values():
        print(name)
        print(warnings.formatwarning(name, UserWarning, "file", 1), file=sys.stderr)
        logging.StreamHandler(sys.stderr).emit(logging.makeLogRecord({"msg": name.replace("%", "")}))
    assert not control_characters(printed.getvalue(), kept="\n\t")
    assert r"\x1b]0;owned\x07" in printed.getvalue()
    assert "red\n" in printed.getvalue(), "a warning that was coloured is plain"


def test_a_printable_stream_is_a_stream_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/null", "w", encoding="ascii") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        print_printable()
        assert (sys.stdout.encoding, sys.stdout.isatty(), sys.stdout.fileno()) == (
            "ascii",
            False,
            stream.fileno(),
        )
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # as libraries do
        assert sys.stdout.errors == "replace"
        sys.stdout.buffer.write(b"x")
        sys.stdout.close()
        assert not stream.closed, "it belongs to the process"


def test_an_error_is_one_printable_line(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = redirected(monkeypatch)
    for kind, name in NAMES.items():

        def refusing(arguments: Sequence[str], name: str = name) -> int:
            raise Refused(f"env {name}: no")

        before = len(printed.getvalue())
        with pytest.raises(SystemExit):
            run_command(refusing, [])
        line = printed.getvalue()[before:]
        assert line.startswith("error: env "), kind
        assert line.count("\n") == 1, kind
        assert len(line) < LONGEST_SENTENCE + 100, kind
        assert not control_characters(line), kind


def test_a_traceback_is_printable(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = redirected(monkeypatch)

    def refusing(arguments: Sequence[str]) -> int:
        try:
            raise OSError("\x1b]0;owned\x07")
        except OSError as error:
            raise Refused("no") from error

    with pytest.raises(SystemExit):
        run_command(refusing, ["--debug"])
    assert r"OSError: \x1b]0;owned\x07" in printed.getvalue()
    assert not control_characters(printed.getvalue())


def test_the_console_shows_names_as_they_are() -> None:
    stream = Terminal()
    console = PipeSafeConsole(stream, width=200)
    table = Table(box=None)
    for _ in NAMES:
        table.add_column(Text("x"), overflow="fold")
    table.add_row(*(name[:100] for name in NAMES.values()))
    console.print(table)
    for name in NAMES.values():
        console.print(name, soft_wrap=True)
    plain = stream.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert not control_characters(plain)
    for name in ("[/b]", "a[lr=3]", ":dog:", "[link=file:///etc/passwd]x[/link]"):
        assert f"{name}\n" in plain


def test_colours_of_the_console_pass_a_printable_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("TERM", "xterm")
    print_printable()
    PipeSafeConsole().print(Text("x", style="bold"))
    assert "\x1b[1mx" in stream.getvalue()


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_the_display_of_a_run_shows_names_as_they_are(stream: io.StringIO) -> None:
    for name in NAMES.values():
        short = name[:100]
        settings = {"env": short, "agent": short, "steps": 10}
        with Progress(PipeSafeConsole(stream, width=300)) as shown:
            shown.on_start(RunStart(Path(f"runs/{short}"), "1", settings, "cpu", 0, 0.0, False))
            shown.on_metrics(Measurement(5, {f"energy/{short}": 1.0}, 1.0))
            shown.on_note(short)
    assert not {"\x07", "\x9b", "\u202e", "\x00"} & set(stream.getvalue())
    assert "\x1b]0" not in stream.getvalue()
    assert ":dog:" in stream.getvalue()
