"""Runs whose perturbations are drawn: what they record, exact resumes, and evaluations in other environments."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_env
from commands import run_forked
from run_comparison import assert_same_run

import joule
from envs.changes.randomisation import values_of
from joule.commands import evaluate, train
from joule.storage.run_folder import Run

pytestmark = pytest.mark.usefixtures("unchecked")

Options = Callable[..., list[str]]
AtFrame = Callable[[int | None, Callable[[], Any]], None]
PERTURB = ("latency=0|1|2", "noise=0..0.3@5")
TYPED = [f"--perturb={text}" for text in PERTURB]


class Killed(BaseException):
    """Stands for the end of the process."""


def die() -> None:
    raise Killed


def trained(folder: Path, **changes: Any) -> Path:
    settings = {"env": tiny_env.ID, "agent": "zero", "steps": 30, "eval_episodes": 1, "video": False}
    named: dict[str, Any] = {**settings, "perturb": PERTURB, **changes}
    joule.train(out=folder, progress=False, **named)
    return folder


def episodes(folder: Path) -> list[dict[str, str]]:
    return [*csv.DictReader((folder / "episodes.csv").open())]


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_a_killed_run_is_resumed_exactly(
    count: int,
    brief_options: Options,
    at_frame: AtFrame,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    typed = [*brief_options(num_envs=count), *TYPED]
    assert train.main([*typed, "--out", str(tmp_path / "whole")]) == 0
    assert "each episode draws from latency=0|1|2 noise=0..0.3@5; " in capsys.readouterr().out
    at_frame(46, die)
    with pytest.raises(Killed):
        train.main([*typed, "--out", str(tmp_path / "run")])
    at_frame(None, die)
    assert train.main(["--resume", str(tmp_path / "run")]) == 0
    assert_same_run(tmp_path / "whole", tmp_path / "run")
    rows = episodes(tmp_path / "whole")
    assert list(rows[0]) == ["frames", "return", "length", "latency", "noise@5"]
    assert len({row["noise@5"] for row in rows}) == len(rows) == 3 - (count == 2)
    assert all(0 <= float(row["noise@5"]) <= 0.3 and float(row["latency"]) in (0, 1, 2) for row in rows)


@pytest.mark.parametrize("agent", ["zero", "sac"])
def test_baselines_record_what_was_drawn(agent: str, tmp_path: Path) -> None:
    trained(tmp_path / "run", agent=agent, steps=60, perturb=PERTURB[1])
    first, second = episodes(tmp_path / "run")
    assert float(first["noise@5"]) == values_of(PERTURB[1:], 1)["noise@5"] != float(second["noise@5"])


def test_a_run_is_evaluated_in_its_own_the_nominal_and_a_held_out_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(tmp_path / "run")

    def evaluated(name: str, *typed: str) -> dict[str, Any]:
        assert evaluate.main([str(run), "--episodes", "2", *typed]) == 0
        found: dict[str, Any] = json.loads((run / f"{name}.json").read_text())
        return found

    own = evaluated("evaluation")
    assert own["drawn"] == [values_of(PERTURB, 10_000), values_of(PERTURB, 10_001)]
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].endswith("decisions  drawn")
    shown = own["drawn"][0]
    assert lines[3].endswith(f"latency={shown['latency']:g} noise@5={shown['noise@5']:g}")
    nominal = evaluated("evaluation-perturb-none", "--perturb", "none")
    assert (nominal["perturb"], nominal["drawn"]) == ([], [{}, {}])
    assert "drawn" not in capsys.readouterr().out
    held_out = evaluated("evaluation-latency-8-or-9", "--perturb", "latency=8|9")
    assert all(drawn["latency"] in (8, 9) for drawn in held_out["drawn"])
    assert joule.evaluate(run, 2, perturb=[])["returns"] == nominal["returns"]
    assert joule.make_env(tiny_env.ID, perturb="none").made_from.perturb == ()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["--perturb", "noise=1..0"], "the smaller bound comes first"),
        (["--perturb", "noise=0..1", "latency=0|1"], "one that takes several values is given again for each"),
        (["--perturb", "none", "--perturb", "noise=1"], "none means no perturbation"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_anything_is_written(
    typed: list[str], words: str, brief_options: Options, tmp_path: Path
) -> None:
    done = run_forked("train", [*brief_options(), *typed, "--out", "run"], tmp_path)
    error = done.stderr.splitlines()[-1]
    assert done.returncode == 2
    assert error.startswith("error: ")
    assert words in error
    assert list(tmp_path.iterdir()) == []


def test_a_settings_file_says_the_same(tmp_path: Path) -> None:
    run = trained(tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    assert config["perturb"] == [*PERTURB]
    (run / "config.json").write_text(json.dumps(config | {"perturb": ["none"]}))
    assert Run.open(run).config.perturb == ()
