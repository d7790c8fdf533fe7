"""Trials that train nothing, for the tests of what starts them."""

from __future__ import annotations

from pathlib import Path

import pytest

from joule.commands import sweep
from joule.sweeping import node, session, trial_process

FAKE = Path(__file__).parents[2] / "support" / "fake_trial.py"


@pytest.fixture
def fake_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes of trials are those of `fake_trial`, and are looked at all the time."""
    monkeypatch.setattr(trial_process, "__file__", str(FAKE))
    monkeypatch.setattr(sweep, "check_envs", lambda ids: None)
    monkeypatch.setattr(node, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(session, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(session, "LOOK_SECONDS", 0.0)
