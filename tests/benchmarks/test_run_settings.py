"""Runs that are there already are refused where they have other settings than those asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.learning import sweep
from benchmarks.run_settings import config_of, refuse_others
from joule.storage.run_folder import Run
from joule_errors import Refused

HOPPER = "Hopper-v5"


def job(seed: int = 1, steps: int = 1_000, *settings: str) -> sweep.Job:
    return sweep.Job("wide", "joule", HOPPER, seed, steps, settings)


def test_a_run_with_other_settings_is_neither_resumed_nor_counted_as_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "RUNS", tmp_path)
    wide = job(1, 1_000, "--model.hidden-dim", "256")
    refuse_others(wide)  # there is no run yet
    wide.folder.parent.mkdir(parents=True)
    with Run.create(wide.folder, config_of(wide.job().new), [], {}):
        pass
    refuse_others(wide)
    refuse_others(job(1, 2_000, "--model.hidden-dim", "256"))  # the budget may grow
    for other in ((), ("--model.hidden-dim", "512"), ("--model.hidden-dim", "256", "--learning.utd", "2")):
        with pytest.raises(Refused, match=r"other settings \((model|learning)\."):
            sweep.execute([job(1, 1_000, *other)])
    monkeypatch.setattr(sweep.Job, "finished", lambda self: True)
    with pytest.raises(Refused, match=r"model.hidden_dim 256 -> 128"):
        sweep.execute([job()])
