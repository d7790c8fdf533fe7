"""The command export: its files compute what the agent does, in a program without Joule, or there are none."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scaled_env
import tiny_env
import torch
from commands import assert_help_is_instant, assert_refused
from recorded_episodes import record

import joule
from agent.configurator.kinds import settings_of
from agent.errors import ConfigError
from joule.commands import export
from joule.exporting import export_record, libraries, parts
from joule.exporting.onnx_file import ExportError
from joule.sharing.shared_form import shared_files, write_files
from joule.storage import run_folder
from joule.storage.files import Disk, why
from joule.storage.loading import restored
from joule.storage.new_folder import new_folder

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

SMALL: dict[str, Any] = {
    "model.latent_dim": 16, "model.hidden_dim": 16, "model.head_width": 16, "learning.batch_size": 16,
    "explore.warmup_decisions": 30, "learning.pretrain_updates": 2, "planner.samples": 16,
    "planner.elites": 4, "planner.iterations": 1, "actor.proposals": 4, "learning.precision": "float32",
}  # fmt: skip
FILES = ["cost.onnx", "cost_to_go.onnx", "dynamics.onnx", "encoder.onnx", "export.json", "policy.onnx",
         "prior.onnx", "readouts.onnx"]  # fmt: skip
Run = Callable[..., dict[str, np.ndarray]]


def runner(folder: Path) -> Run:
    """`run(name, **inputs)`: the outputs of a file of an export, by name."""

    def run(name: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        session = onnxruntime.InferenceSession(folder / f"{name}.onnx", providers=["CPUExecutionProvider"])
        names = [value.name for value in session.get_outputs()]
        return dict(zip(names, session.run(names, inputs), strict=True))

    return run


def small_agent(env: str, **settings: Any) -> Any:
    """An agent that has made a few updates."""
    named = {name.replace("__", "."): value for name, value in settings.items()}
    return joule.make("joule", env=env, seed=3, settings=SMALL | named).learn(60)  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def exported(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports") / "point"
    export.main([str(trained_run), "--out", str(folder)])
    return folder


def test_it_writes_the_files_and_says_what_they_take(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a folder of robots" / "point"
    folder.parent.mkdir()
    before = sorted(trained_run.rglob("*"))
    assert export.main([str(trained_run), "--out", str(folder)]) == 0
    assert sorted(os.listdir(folder)) == FILES
    assert os.listdir(folder.parent) == ["point"]
    assert sorted(trained_run.rglob("*")) == before
    printed, told = capsys.readouterr()
    assert "policy.onnx      observation [3] -> action [1], normalised_action [1]" in printed
    assert "cost.onnx        latent [16], action [1] -> cost, termination" in printed
    assert "checked with onnxruntime on 256 transitions" in printed
    assert printed.splitlines()[-1] == str(folder)
    assert told == ""
    record = json.loads((folder / "export.json").read_text())
    agent: Any = joule.load(trained_run)
    assert (record["env"], record["frames"], record["action_repeat_frames"]) == (tiny_env.RECORDED, 400, 1)
    assert record["run"] == json.loads((trained_run / "run.json").read_text())["id"]
    newest = max((trained_run / "checkpoints").iterdir(), key=lambda path: int(path.name.split("-")[1]))
    assert record["checkpoint"] == newest.name
    assert record["readouts"] == {"position": 1, "distance": 1}
    assert record["planning"]["discount"] == agent.modules.discount
    assert record["planning"]["horizon_decisions"] == 3
    assert record["planning"]["settings"].keys() == settings_of("planner", record["planning"]["kind"]).keys()
    assert record["decision_rate_hz"] is None, "the environment does not say how long a step is"
    assert [*record["files"], "export.json"] == sorted(FILES, key=[*record["files"], "export.json"].index)
    for name, of_file in record["files"].items():
        assert of_file["sha256"] == hashlib.sha256((folder / name).read_bytes()).hexdigest()
        assert 0 <= of_file["largest_error"] <= 1e-5


def test_the_files_compute_what_the_agent_does(trained_run: Path, exported: Path) -> None:
    agent: Any = joule.load(trained_run, settings={"planner.kind": "policy"})
    run, modules = runner(exported), agent.modules
    for rows in (1, 7):
        obs = np.random.default_rng(rows).uniform(-2, 2, (rows, 3)).astype(np.float32)
        found = run("policy", observation=obs)
        np.testing.assert_allclose(found["action"], agent.predict(obs)[0], rtol=1e-5, atol=1e-5)
        latent = run("encoder", observation=obs)["latent"]
        np.testing.assert_allclose(latent, modules.perceive(obs).numpy(), rtol=1e-5, atol=1e-5)
        action = run("prior", latent=latent)["action"]
        np.testing.assert_allclose(action, found["normalised_action"], rtol=1e-5, atol=1e-5)
    imagined = agent.imagine(obs[0], action[:1].repeat(4, 0))
    z = latent[:1]
    for step in range(5):
        np.testing.assert_allclose(
            run("readouts", latent=z)["readouts"][0], imagined[step], rtol=1e-4, atol=1e-4
        )
        z = run("dynamics", latent=z, action=action[:1])["next_latent"]


def test_the_energy_of_plans_can_be_computed_from_the_files(trained_run: Path, exported: Path) -> None:
    """As `docs/guide/on-a-robot.md` shows it."""
    agent: Any = joule.load(trained_run, settings={"cost.action": 0.1})
    agent.modules.terminations = 1  # so that survival counts
    run, planning = runner(exported), json.loads((exported / "export.json").read_text())["planning"]
    assert planning["uncertainty_weight"] > 0.0
    planning |= {"action_weight": 0.1, "terminates": True}
    rng = np.random.default_rng(0)
    obs, plans = rng.uniform(-1, 1, (1, 3)), rng.uniform(-1, 1, (20, 3, 1))
    obs, plans = obs.astype(np.float32), plans.astype(np.float32)

    first = run("encoder", observation=obs)["latent"]
    latent, of_policy = first.repeat(len(plans), 0), first
    energy, weight = np.zeros(len(plans)), np.ones(len(plans))
    for action in plans.swapaxes(0, 1):
        step = {"latent": latent, "action": action}
        ahead, cost = run("dynamics", **step), run("cost", **step)
        own = run("dynamics", latent=of_policy, action=run("prior", latent=of_policy)["action"])
        beyond = np.maximum(ahead["disagreement"] - own["disagreement"], 0.0)
        penalty, of_policy = planning["uncertainty_weight"] * beyond, own["next_latent"]
        energy += weight * (cost["cost"] + planning["action_weight"] * (action**2).sum(1) + penalty)
        weight *= planning["discount"] * (1.0 - planning["terminates"] * cost["termination"])
        latent = ahead["next_latent"]
    action = run("prior", latent=latent)["action"]
    energy += weight * run("cost_to_go", latent=latent, action=action)["cost_to_go"].mean(1)

    with torch.inference_mode():
        expected = agent.modules.energy(agent.modules.perceive(obs))(torch.from_numpy(plans)[None])[0]
    np.testing.assert_allclose(energy, expected.numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_an_agent_that_learned_without_rewards_is_exported_with_the_weight_that_it_plans_with() -> None:
    agent = small_agent(f"tiny_env:{tiny_env.ID}", reward="none")
    agent.modules.networks.usual_disagreement.fill_(0.5)
    planning = export_record._planning(agent)
    assert (
        planning["uncertainty_weight"] == agent.modules.energy(torch.zeros(1, 16)).weights.uncertainty < 0.0
    )


def test_actions_are_in_the_units_of_the_environment(tmp_path: Path) -> None:
    agent = small_agent(scaled_env.ID)
    record = joule.export(agent, tmp_path / "scaled")
    action = record["action"]
    assert (action["size"], action["normalised_size"], action["shape"]) == (3, 2, [1, 3])
    assert (action["low"], action["high"], action["constant"]) == ([-4, 0.5, 0], [4, 0.5, 10], [1])
    assert record["decision_rate_hz"] == pytest.approx(50.0)
    obs = np.random.default_rng(0).uniform(-1, 1, (30, 3)).astype(np.float32)
    found = runner(tmp_path / "scaled")("policy", observation=obs)
    chosen = found["normalised_action"]
    expected = np.stack([4.0 * chosen[:, 0], np.full(30, 0.5), 5.0 + 5.0 * chosen[:, 1]], 1)
    np.testing.assert_allclose(found["action"], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_coarse_actions_are_exported_and_those_that_float32_does_not_hold_are_not(tmp_path: Path) -> None:
    assert joule.export(small_agent(scaled_env.HALF), tmp_path / "half")["action"]["high"] == [1.0]
    with pytest.raises(ExportError, match=r"action of policy.onnx is 1e\+06 where the agent has 1e\+06"):
        joule.export(small_agent(scaled_env.FAR), tmp_path / "far")
    assert os.listdir(tmp_path) == ["half"]


@pytest.mark.parametrize("regularizer", ["simnorm", pytest.param("none", marks=pytest.mark.slow)])
def test_unlimited_angles_and_other_latents_are_exported(tmp_path: Path, regularizer: str) -> None:
    kinds: dict[str, Any] = {"regularizer__kind": regularizer}
    agent = small_agent("HalfCheetah-v5", **kinds)
    assert agent.modules.networks.normalizer.angles == [1]
    record = joule.export(agent, tmp_path / "cheetah")
    assert record["observation"]["parts"][0]["angles"] == [1]
    obs = np.random.default_rng(0).normal(size=(5, 17)).astype(np.float32)
    turned = obs.copy()
    turned[:, 1] += 6 * np.pi
    run = runner(tmp_path / "cheetah")
    actions = [run("policy", observation=rows)["action"] for rows in (obs, turned)]
    np.testing.assert_allclose(actions[0], actions[1], atol=1e-4)


def test_a_program_without_joule_and_torch_acts_by_the_policy(trained_run: Path, exported: Path) -> None:
    program = (
        "import sys, json, numpy, onnxruntime\n"
        "session = onnxruntime.InferenceSession('policy.onnx', providers=['CPUExecutionProvider'])\n"
        "obs = numpy.array([[0.3, 0.0, -0.4]], numpy.float32)\n"
        "print(session.run(['action'], {'observation': obs})[0].tolist())\n"
        "assert not {'torch', 'joule', 'gymnasium'} & sys.modules.keys()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=exported, capture_output=True, text=True, check=True, timeout=500
    )
    agent = joule.load(trained_run, settings={"planner.kind": "policy"})
    expected, _ = agent.predict(np.array([[0.3, 0.0, -0.4]], np.float32))
    np.testing.assert_allclose(json.loads(done.stdout), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_a_task_that_was_learned_is_exported_and_one_that_is_only_planned_for_is_not(tmp_path: Path) -> None:
    agent = small_agent(tiny_env.ID)
    task = joule.Task("to the left", lambda readouts: readouts["position"])
    agent.plan_for(task)
    with pytest.raises(
        ConfigError, match="plans for the task 'to the left', which its networks have not learned"
    ):
        joule.export(agent, tmp_path / "planned")
    record = joule.export(agent.learn_task(task, updates=2), tmp_path / "learned")
    assert "to the left" in record["task"]
    assert sorted(os.listdir(tmp_path)) == ["learned"]


def test_a_difference_from_the_agent_is_an_error_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = small_agent(tiny_env.ID)
    made = parts.parts_of

    def spoilt(*arguments: Any) -> list[parts.Part]:
        first, *others = made(*arguments)

        def by_agent(samples: parts.Samples) -> tuple[np.ndarray, ...]:
            own, normalised = first.by_agent(samples)
            own[3] += np.float32(1e-3)
            return own, normalised

        return [dataclasses.replace(first, by_agent=by_agent), *others]

    monkeypatch.setattr(parts, "parts_of", spoilt)
    with pytest.raises(ExportError, match=r"action of policy.onnx is \S+ where the agent has \S+; nothing"):
        joule.export(agent, tmp_path / "spoilt")
    assert os.listdir(tmp_path) == []
    assert ExportError.exit_code == 1


def test_a_full_disk_leaves_nothing_and_what_a_kill_left_is_removed(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    (tmp_path / f".tmp-{int(dead.stdout)}-0-export").mkdir()
    write = Disk.write

    def full(self: Disk, path: Path, data: bytes) -> None:
        if path.name == "export.json":
            raise OSError(28, "No space left on device", str(path))
        write(self, path, data)

    monkeypatch.setattr(Disk, "write", full)
    with pytest.raises(
        ConfigError, match=r"--out: .* cannot be written: export.json: No space left on device"
    ):
        joule.export(trained_run, tmp_path / "export")
    assert os.listdir(tmp_path) == []


def test_the_sentence_about_a_refused_folder_has_the_path_of_the_user(tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match="No such file") as refused,
        new_folder(tmp_path / "a", "export") as folder,
    ):
        (folder / "no-parent").mkdir()
    assert why(refused.value) == "no-parent: No such file or directory", "a file in it keeps its name"
    with (
        pytest.raises(OSError, match="No such file") as refused,
        new_folder(tmp_path / "a", "export") as folder,
    ):
        os.listdir(folder)
    assert why(refused.value) == "a: No such file or directory"


def test_what_cannot_be_exported_is_refused_before_anything_is_loaded(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="zero has no world model to export"):
        joule.export(joule.make("zero", env=tiny_env.ID), tmp_path / "zero")
    untrained = joule.make("joule", env=tiny_env.ID, settings=SMALL)
    with pytest.raises(ConfigError, match="out: an agent in memory has no run folder"):
        joule.export(untrained)
    with pytest.raises(ConfigError, match="has no experience yet"):
        joule.export(untrained, tmp_path / "untrained")
    monkeypatch.setattr(libraries, "LIBRARIES", ("onnx", "onnx_of_nobody"))
    with pytest.raises(
        ConfigError, match="onnx_of_nobody is not installed; install it with `pip install onnx_of_n"
    ):
        joule.export(trained_run, tmp_path / "missing")
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_an_agent_that_learned_from_data_plays_in_its_shared_form(tmp_path: Path) -> None:
    """It has made no decision, and its shared form has no transition."""
    settings = {
        name: value for name, value in SMALL.items() if not name.startswith(("explore.", "learning.p"))
    }
    joule.train(
        data=str(record(tmp_path / "data", 2)), env=tiny_env.ID, steps=3, out=tmp_path / "run",
        settings={**settings, "eval_episodes": 1, "video": False}, progress=False,
    )  # fmt: skip
    run = run_folder.Run.open(tmp_path / "run")
    write_files(tmp_path / "shared", shared_files(run, *restored(run, None)))
    exported = joule.export(tmp_path / "shared", tmp_path / "files")
    assert (exported["frames"], exported["decisions"]) == (3, 0)
    assert exported["check"]["transitions"] == parts.MOST_ROWS


def test_bad_input_is_one_sentence(trained_run: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "run.json").write_text("{")
    run = str(trained_run)
    for arguments, sentence in (
        (["."], "run.json"),
        (["no-such-run"], "does not exist"),
        ([str(damaged)], "is not JSON"),
        ([run, "--out", str(taken)], "exists already"),
        ([run, "--out", str(tmp_path / "no" / "parent")], "parent folder"),
        ([run, "--output", "x"], "did you mean --out?"),
        ([run, "--out", "/proc/x"], "/proc/x cannot be written"),
    ):
        assert_refused("export", arguments, sentence)


def test_help_is_instant() -> None:
    assert_help_is_instant("export", "--out")
