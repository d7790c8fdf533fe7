"""The agents that come with Joule: small, complete, and acting as their provenance says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from commands import run_forked

import joule
from agent.errors import ConfigError
from benchmarks.learning.ship import LARGEST, played
from joule.commands import evaluate, train
from joule.exporting.libraries import LIBRARIES
from joule.sharing.contents import PROVENANCE
from joule.sharing.pulling import verify
from joule.storage import shipped
from joule.storage.errors import RunError
from joule.trained import Request

pytestmark = pytest.mark.usefixtures("unchecked")
NAMES = ["halfcheetah", "reach", "walker"]
NEEDS = {"walker": "dm_control"}
"""Libraries of an environment that an extra installs."""


def test_there_are_three_with_their_provenance() -> None:
    assert shipped.names() == NAMES
    for name in NAMES:
        folder = shipped.SHIPPED / name
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert sum(path.stat().st_size for path in files) < LARGEST
        values = json.loads((folder / PROVENANCE).read_text())
        assert values["command"].startswith("joule train --")
        assert re.fullmatch("[0-9a-f]{7,40}", values["versions"]["joule"])
        assert values["settings"] == json.loads((folder / "config.json").read_text())
        last = values["evaluations"][-1]
        assert last["frames"] == values["frames"]
        # A later version may plan otherwise than the one that trained and evaluated it.
        assert values["evaluated_as_shipped"]["return_mean"] == pytest.approx(last["return_mean"], rel=0.05)
        texts = [path.read_text() for path in files if path.suffix in (".json", ".txt", ".csv", ".md")]
        assert not re.search(r"""[\s"'=](/\w+){2}""", "\n".join(texts)), "a path of the machine"


@pytest.mark.parametrize("name", NAMES)
def test_it_verifies_and_acts_as_its_provenance_says(name: str) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    verify(shipped.SHIPPED / name)
    episode = json.loads((shipped.SHIPPED / name / PROVENANCE).read_text())["episode"]
    # Another processor or version of MuJoCo rounds otherwise, which a gait amplifies.
    found = played(joule.load(f"joule://{name}"), episode["decisions"], episode["seed"])
    assert found == pytest.approx(episode["return"], rel=0.05)


def test_commands_take_an_address_and_write_nothing_into_the_package(tmp_path: Path) -> None:
    before = sorted(shipped.SHIPPED.rglob("*"))
    limit = ["joule://reach", "--planner.kind", "policy"]
    done = run_forked("evaluate", [*limit, "--episodes", "1"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "runs/reach/evaluation-kind-policy.json"
    run = Request("joule://reach", {}).run
    assert run is not None
    assert (run.videos, run.explanations) == (Path("runs/reach/videos"), Path("runs/reach/explanations"))
    assert sorted(shipped.SHIPPED.rglob("*")) == before


@pytest.mark.slow
def test_an_agent_without_experience_is_exported(tmp_path: Path) -> None:
    for library in LIBRARIES:
        pytest.importorskip(library)
    record = joule.export("joule://reach", tmp_path / "reach")
    assert record["frames"] == 10_000
    assert (tmp_path / "reach" / "policy.onnx").exists()


def test_other_addresses_and_learning_are_refused() -> None:
    with pytest.raises(
        RunError, match=r"^joule://ant: is no agent that comes with Joule; there are joule://half"
    ):
        joule.load("joule://ant")
    with pytest.raises(RunError, match=r"/step-10000: .* no checkpoints to name; give joule://reach$"):
        joule.load("joule://reach/checkpoints/step-10000")
    for more in (["--adapt"], ["--goal", "episode:0@9"], ["--goal", "readout:x=1"], ["--perceive", "energy"]):
        with pytest.raises(
            ConfigError,
            match=f"{more[0]}: joule://reach is a run in its shared form, without the replay buffer",
        ):
            evaluate.main(["joule://reach", *more])
    with pytest.raises(RunError, match="--resume: joule://reach is a run in its shared form"):
        train.main(["--resume", "joule://reach"])
