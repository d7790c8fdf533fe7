"""A process that answers messages says at its end why it ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from joule.answering_process import AnsweringProcess

CASES = {
    "raise ImportError('no library here')": "exit code 1: ImportError: no library here",
    "def serve():\n    raise ValueError('before it answers')": "exit code 1: ValueError: before it answers",
    """
from joule.answering_process import answers
def serve():
    results = answers()
    print("of an environment")
    raise ValueError("after it began")
""": "exit code 1: ValueError: after it began",
    "def serve():\n    pass": "exit code 0",
}


@pytest.mark.parametrize("source", CASES)
def test_the_last_line_of_a_process_is_told(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "answering.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    with AnsweringProcess("answering") as process:
        process.communicate()
        assert process.how_it_ended(20.0) == CASES[source]
