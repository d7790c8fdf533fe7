"""The rows of the table of faults: each tries one fault and says what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.reliability.arena import Arena, Ended


@dataclass(frozen=True)
class Outcome:
    """What happened, in words, and whether it is what the table expects."""

    ok: bool
    text: str


@dataclass(frozen=True)
class Row:
    """One fault of the table."""

    number: int
    fault: str
    expected: str
    attempt: Callable[[Arena], Outcome]


ROWS: dict[int, Row] = {}


def row(number: int, fault: str, expected: str) -> Callable[[Callable[[Arena], Outcome]], None]:
    """Enters a function as the attempt of a row."""

    def enter(attempt: Callable[[Arena], Outcome]) -> None:
        assert number not in ROWS
        ROWS[number] = Row(number, fault, expected, attempt)

    return enter


def outcome(found: Ended, ok: bool) -> Outcome:
    """That of a single run."""
    return Outcome(ok, found.told() + ("" if found.orderly else " (with a traceback)"))


def all_of(checks: Mapping[str, bool]) -> Outcome:
    """That of several attempts, the failed ones named."""
    failed = [name for name, ok in checks.items() if not ok]
    text = f"{len(checks) - len(failed)} of {len(checks)} as expected"
    return Outcome(
        not failed, text + (f"; not: {', '.join(failed)}" if failed else f" ({', '.join(checks)})")
    )
