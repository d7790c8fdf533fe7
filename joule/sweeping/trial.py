"""The contract of a trial: one run of a sweep, with the places of its files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from joule.sweeping.job import Job


class Trial(Protocol):
    """One run of a sweep."""

    @property
    def name(self) -> str:
        """No other trial of the sweep has it."""

    @property
    def title(self) -> str:
        """How a person names the trial."""

    @property
    def steps(self) -> int:
        """Budget in environment frames."""

    @property
    def folder(self) -> Path:
        """The run folder."""

    @property
    def log(self) -> Path:
        """The output of its command."""

    @property
    def result(self) -> Path:
        """The file that its evaluations are collected in."""

    @property
    def given(self) -> Mapping[str, Any]:
        """The settings that its results are told apart by, by dotted name; none where their folder says it all."""

    @property
    def error(self) -> str:
        """Why it cannot begin: one sentence; empty where it can."""

    def job(self) -> Job:
        """What a machine needs to know to train it."""
