"""The table of faults: each entry injects one fault and states what happened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.reliability.command_result import CommandResult
from benchmarks.reliability.sandbox import Sandbox


@dataclass(frozen=True)
class Outcome:
    """What happened."""

    ok: bool
    """Whether it is what the table expects."""
    text: str


Attempt = Callable[[Sandbox], Outcome]


@dataclass(frozen=True)
class Fault:
    """One entry of the table."""

    number: int
    name: str
    expected: str
    attempt: Attempt
    """Injects the fault."""


FAULTS: dict[int, Fault] = {}
"""Every fault by its number."""


def fault(number: int, name: str, expected: str) -> Callable[[Attempt], Attempt]:
    """Enters a function in the table as the attempt of a fault.

    Args:
        number: its number in the table.
        name: the fault.
        expected: what must happen.
    """

    def enter(attempt: Attempt) -> Attempt:
        assert number not in FAULTS, f"two faults have the number {number}"
        FAULTS[number] = Fault(number, name, expected, attempt)
        return attempt

    return enter


def outcome(result: CommandResult, ok: bool) -> Outcome:
    """The outcome of a single command."""
    return Outcome(ok, result.describe() + ("" if result.no_traceback else " (with a traceback)"))


def all_of(checks: Mapping[str, bool]) -> Outcome:
    """The outcome of several checks by name; the text names those that failed."""
    failed = [name for name, ok in checks.items() if not ok]
    text = f"{len(checks) - len(failed)} of {len(checks)} as expected"
    return Outcome(
        not failed, text + (f"; not: {', '.join(failed)}" if failed else f" ({', '.join(checks)})")
    )
