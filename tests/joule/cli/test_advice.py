"""Warnings as a user of a command sees them."""

from __future__ import annotations

from pathlib import Path

from commands import ROOT, run_python

OLD = "import gymnasium as g; g.register('A-v0', 'a:A'); g.register('A-v1', 'a:A')"


def test_an_old_version_of_an_environment_is_said_once_on_one_line(tmp_path: Path) -> None:
    code = f"{OLD}\nfrom joule.cli import advice\nadvice.show_on_one_line()\n"
    code += "for _ in range(2):\n    try: g.make('A-v0')\n    except ModuleNotFoundError: pass\n"
    done = run_python(["-c", code], tmp_path, {"PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    assert done.stderr.startswith("warning: The environment A-v0 is out of date. ")


def test_a_sentence_is_said_once_although_python_forgets_what_it_has_shown(tmp_path: Path) -> None:
    code = "import warnings\nfrom joule.cli import advice\nfrom joule_errors import Advice\n"
    code += "advice.show_on_one_line()\n"
    code += "for text in ('one', 'two', 'one'):\n    warnings.warn(text, Advice)\n"
    code += "    with warnings.catch_warnings(): warnings.simplefilter('ignore')\n"
    done = run_python(["-c", code], tmp_path, {"PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stderr) == (0, "warning: one\nwarning: two\n")
