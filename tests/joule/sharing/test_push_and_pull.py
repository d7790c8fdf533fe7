"""`joule push` and `joule pull`: what goes up comes down with the same hash, and what is hostile is refused."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_env
from hub_stub import HubStub

import joule
from joule.commands import pull, push, train
from joule.sharing.card import model_card, score
from joule.sharing.contents import SharingError
from joule.sharing.hub import Hub
from joule.storage.errors import RunError
from joule_errors import Refused

pytestmark = pytest.mark.usefixtures("unchecked")
REPO = "somebody/point"
Files = dict[str, bytes]


@pytest.fixture
def pushed(hub: HubStub, trained_run: Path) -> Files:
    """The files of a repository to which the trained run was pushed."""
    joule.push(trained_run, REPO, licence="mit")
    return hub.repos[REPO]["main"]


def checkpoint_of(files: Files) -> str:
    return next(name for name in files if name.endswith("/MANIFEST.json")).rpartition("/")[0]


@pytest.mark.slow
def test_what_goes_up_comes_down_and_acts_the_same(
    hub: HubStub,
    trained_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(trained_run.rglob("*"))
    assert push.main([str(trained_run), REPO, "--license", "mit"]) == 0
    sent = capsys.readouterr().out
    assert pull.main([REPO]) == 0
    got, told = capsys.readouterr()
    assert sorted(trained_run.rglob("*")) == before, "a push writes nothing into the run"
    (digest,) = {
        line.rpartition(" ")[2] for text in (sent, got) for line in text.splitlines() if "SHA-256" in line
    }
    assert (got.splitlines()[-1], told) == ("runs/point", "")
    folder = tmp_path / "runs" / "point"
    assert os.listdir(folder.parent) == ["point"]
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    assert files == {name: data for name, data in hub.repos[REPO]["main"].items() if name != ".gitattributes"}
    assert hashlib.sha256(files[f"{checkpoint_of(files)}/MANIFEST.json"]).hexdigest() == digest
    assert not [name for name in files if name.startswith(("replay", "tensorboard", "metrics"))]
    text = b"".join(files.values())
    assert str(tmp_path).encode() not in text
    assert str(trained_run).encode() not in text
    assert os.fsencode(sys.prefix) not in text

    own, other = joule.load(trained_run), joule.load(folder)
    obs = np.random.default_rng(0).uniform(-1, 1, (6, 3)).astype(np.float32)
    one, two = None, None
    for row in obs:
        (a, one), (b, two) = own.predict(row, one), other.predict(row, two)
        np.testing.assert_array_equal(a, b)
    assert joule.evaluate(folder, 1)["returns"] == joule.evaluate(own, 1)["returns"]


def test_the_model_card_is_made_from_the_run(pushed: Files, trained_run: Path) -> None:
    card = pushed["README.md"].decode()
    rows = (trained_run / "evaluations.csv").read_text().splitlines()
    mean = float(rows[-1].split(",")[5])
    for said in (
        "library_name: joule", 'license: "mit"', f"# joule in {tiny_env.RECORDED}", "400 frames", "seed 1",
        f"Return {mean:,.1f} ±", 'trust_modules=["tiny_env"]', f"joule pull {REPO}", "joule train --env",
        "![Return against frames](curve.png)",
    ):  # fmt: skip
        assert said in card, said
    assert "--out" not in card
    assert json.loads(pushed["provenance.json"])["evaluations"][-1]["return_mean"] == mean


@pytest.mark.parametrize(
    ("changes", "settings", "said", "not_said"),
    [
        ({}, {"reward": "none"}, "learned without rewards", "the reward of the environment"),
        ({"agent": "sac_her"}, {}, "to reach goals", "world-model"),
        (
            {"env": "none", "decisions": 0},
            {"data": "recorded"},
            "400 gradient steps on recorded",
            "joule render",
        ),
    ],
)
def test_the_model_card_says_what_was_learned_and_how(
    changes: dict[str, Any], settings: dict[str, Any], said: str, not_said: str, pushed: Files
) -> None:
    values = json.loads(pushed["provenance.json"]) | changes
    values["settings"] |= settings
    parts = [{"name": "camera", "shape": [9, 48, 48], "dtype": "uint8"}]
    card = model_card(values, {"observation": parts}, repo=REPO, licence="", curve=False)
    assert "pictures of 9 x 48 x 48 numbers" in card
    assert said in card
    assert not_said not in card


@pytest.mark.parametrize(
    ("episodes", "said"), [(1, "1 evaluation episode at"), (2, "2 evaluation episodes at")]
)
def test_the_score_counts_its_episodes(episodes: int, said: str) -> None:
    row = {"return_mean": 5.0, "return_std": 0.0, "episodes": episodes, "frames": 400}
    assert said in score([row], "frames")


def test_names_of_anybody_mean_nothing_in_the_card(pushed: Files) -> None:
    values = json.loads(pushed["provenance.json"])
    values |= {
        "env": "evil:Arm-v0\n---\n# Trust me <script> [x](http://x)",
        "command": "joule train\n```\n# out of the code",
        "versions": {"joule": "1|2\n# a"},
    }  # fmt: skip
    card = model_card(values, {}, repo=REPO, licence="", curve=False)
    _, metadata, text = card.split("---\n", 2)
    known = (" ", "-", "library", "pipeline", "tags:", "model-")
    assert all(line.startswith(known) for line in metadata.splitlines())
    prose = re.sub(r"^(`{3,})\w*$.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert "evil:Arm-v0" in prose
    markup = ("<script", "\n# Trust", "[x]", "out of the code", "\n# a", "1|2")
    assert not [sign for sign in markup if sign in prose]
    assert "license" not in card
    assert "--trust-module evil" in card


def test_a_pull_imports_nothing_and_loading_asks(hub: HubStub, pushed: Files, tmp_path: Path) -> None:
    """Made by nobody here: the id of the shared form is on no list of runs."""
    text = json.loads(pushed["config.json"]) | {"env": "module_of_nobody:Arm-v0"}
    record = json.loads(pushed["run.json"])
    record["env_spec"]["env"] = "module_of_nobody:Arm-v0"
    replaced(pushed, "config.json", json.dumps(text).encode())
    replaced(pushed, "run.json", json.dumps(record).encode())
    folder = checkpoint_of(pushed)
    manifest = json.loads(pushed[f"{folder}/MANIFEST.json"])
    manifest["identity"]["env"] = "module_of_nobody:Arm-v0"
    data = json.dumps(manifest).encode()
    replaced(pushed, f"{folder}/MANIFEST.json", data)
    line = f"{hashlib.sha256(data).hexdigest()}  MANIFEST.json\n"
    replaced(pushed, f"{folder}/MANIFEST.sha256", line.encode())
    values = json.loads(pushed["provenance.json"]) | {"env": "module_of_nobody:Arm-v0"}
    pushed["provenance.json"] = json.dumps(values).encode()

    found = joule.pull(REPO, tmp_path / "pulled")
    assert found["trust"] == ["--trust-module", "module_of_nobody"]
    assert "which was not imported; if you trust it, commands need --trust-module module_of_nobody" in str(
        found
    )
    assert "module_of_nobody" not in sys.modules
    with pytest.raises(
        RunError, match="would import the module module_of_nobody; if you trust it, add --trust"
    ):
        joule.load(found.paths[0])


def test_a_shared_run_cannot_be_resumed(pushed: Files, tmp_path: Path) -> None:
    joule.pull(REPO, tmp_path / "pulled")
    for option in ("--resume", "--init-from"):
        with pytest.raises(
            RunError, match=rf"{option}: .* is a run in its shared form, without replay buffer"
        ):
            train.main([option, str(tmp_path / "pulled"), "--trust-module", "tiny_env"])


def replaced(files: Files, name: str, data: bytes) -> None:
    """Puts other content in a file, with its entry in provenance.json: whoever forges a file can do that."""
    files[name] = data
    values = json.loads(files["provenance.json"])
    values["files"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    files["provenance.json"] = json.dumps(values).encode()


def in_provenance(files: Files, change: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads(files["provenance.json"])
    change(values)
    files["provenance.json"] = json.dumps(values).encode()


def arrays_of(files: Files) -> str:
    return f"{checkpoint_of(files)}/arrays.safetensors"


def flipped(data: bytes) -> bytes:
    return data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]


HOSTILE: dict[str, tuple[Callable[[Files], object], str]] = {
    "a name that leads out": (lambda f: f.update({"../../evil": b""}), "would lie outside of the run folder"),
    "an absolute name": (lambda f: f.update({"/etc/evil": b""}), "would lie outside of the run folder"),
    "a name for Windows": (lambda f: f.update({"C:\\evil": b""}), "would lie outside of the run folder"),
    "a listed name that leads out": (
        lambda f: in_provenance(f, lambda v: v["files"].update({"../x": v["files"]["run.json"]})),
        "would lie outside",
    ),
    "a file that no run has": (
        lambda f: in_provenance(f, lambda v: v["files"].update({"setup.py": v["files"]["run.json"]})),
        "names 'setup.py', which no shared run has",
    ),
    "one flipped bit": (
        lambda f: f.update({arrays_of(f): flipped(f[arrays_of(f)])}), "is not the file that was shared"
    ),
    "a flipped bit with a new sum": (
        lambda f: replaced(f, arrays_of(f), flipped(f[arrays_of(f)])), "arrays.safetensors does not match MANIFEST"
    ),
    "a truncated file": (
        lambda f: f.update({arrays_of(f): f[arrays_of(f)][:-8]}), "is not the file that was shared"
    ),
    "a pickle for weights": (
        lambda f: replaced(f, arrays_of(f), b"\x80\x04cos\nsystem\n."), "does not match MANIFEST"
    ),
    "a settings file of 2 MiB": (
        lambda f: f.update({"config.json": b" " * (2 << 20)}), "config.json holds 2097152 bytes, at most 1048576"
    ),
    "a run that is not shared": (
        lambda f: replaced(
            f, "run.json", json.dumps({**json.loads(f["run.json"]), "shared": False}).encode()
        ),
        "is not in the shared form",
    ),
    "JSON of 200 levels": (
        lambda f: f.update({"provenance.json": b"[" * 200 + b"]" * 200}), "nested deeper than 64"
    ),
    "evaluations of another kind": (
        lambda f: in_provenance(f, lambda v: v.update(evaluations=["\x1b[31m"])), "evaluations"
    ),
    "no provenance": (lambda f: f.pop("provenance.json"), "is no run that `joule push` has shared"),
    "a missing file": (lambda f: f.pop("config.json"), "config.json is missing"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_hostile_or_damaged_is_refused_and_leaves_nothing(
    name: str, hub: HubStub, pushed: Files, tmp_path: Path
) -> None:
    spoil, sentence = HOSTILE[name]
    spoil(pushed)
    with pytest.raises(SharingError, match=sentence) as refused:
        joule.pull(REPO, tmp_path / "pulled")
    assert "\n" not in str(refused.value)
    assert ".tmp-" not in str(refused.value)
    assert os.listdir(tmp_path) == []


def test_a_size_is_checked_before_anything_is_downloaded(hub: HubStub, pushed: Files, tmp_path: Path) -> None:
    hub.announced["run.json"] = 1 << 40
    hub.requests.clear()
    with pytest.raises(
        SharingError, match=r"run\.json holds 1099511627776 bytes, at most 1048576 are allowed"
    ):
        joule.pull(REPO, tmp_path / "pulled")
    assert not [one for one in hub.requests if one.endswith("run.json")]


def test_weights_beyond_the_memory_budget_are_not_downloaded(
    hub: HubStub, pushed: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("joule.sharing.pulling.largest_checkpoint", lambda config: 5_000)
    hub.requests.clear()
    with pytest.raises(SharingError, match=r"MB, and the memory budget leaves 0\.0 MB for it"):
        joule.pull(REPO, tmp_path / "pulled")
    assert not [one for one in hub.requests if one.endswith(".safetensors")]


def test_a_link_in_place_of_a_download_is_not_followed(
    hub: HubStub, pushed: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a cache that keeps its files elsewhere would make them."""
    secret = tmp_path / "secret"
    secret.write_bytes(pushed["provenance.json"])
    download = Hub.download

    def linked(self: Hub, repo: str, commit: str, name: str, folder: Path) -> Path:
        path = download(self, repo, commit, name, folder)
        path.unlink()
        path.symlink_to(secret)
        return path

    monkeypatch.setattr(Hub, "download", linked)
    with pytest.raises(SharingError, match=r"provenance\.json is a link"):
        joule.pull(REPO, tmp_path / "pulled")
    assert os.listdir(tmp_path) == ["secret"]


def test_what_the_server_refuses_is_one_sentence(
    hub: HubStub, trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(act: Callable[[], object], sentence: str) -> None:
        with pytest.raises(Refused, match=sentence) as error:
            act()
        assert "\n" not in str(error.value)

    out = tmp_path / "pulled"
    joule.push(trained_run, "somebody/secret", private=True)
    refused(lambda: joule.pull("somebody/nothing", out), "has no such repository that you may read")
    refused(
        lambda: joule.pull("somebody/secret", out, revision="v9"), "somebody/secret: has no revision 'v9'"
    )
    refused(lambda: joule.pull("a/b/c", out), "'a/b/c' names no repository")
    hub.read_only = True
    refused(lambda: joule.push(trained_run, REPO), "this token may not do that")
    monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
    refused(lambda: joule.pull("somebody/secret", out), "has no such repository that you may read")
    refused(lambda: joule.push(trained_run, REPO), "does not accept the token|no such repository")
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    refused(
        lambda: joule.push(trained_run, REPO), "there is no token for http://127.0.0.1:.* `hf auth login`"
    )
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    refused(lambda: joule.pull(REPO, out), "http://127.0.0.1:9 cannot be reached")
    assert os.listdir(tmp_path) == []


def test_a_branch_and_a_later_push(hub: HubStub, trained_run: Path, tmp_path: Path) -> None:
    """One checkpoint a branch: that of an earlier push is removed."""
    joule.push(trained_run / "checkpoints" / "step-200", REPO)
    joule.push(trained_run, REPO, revision="v2")
    steps = {
        branch: {name.split("/")[1] for name in files if name.startswith("checkpoints/")}
        for branch, files in hub.repos[REPO].items()
    }
    assert steps == {"main": {"step-200"}, "v2": {"step-400"}}
    assert joule.pull(REPO, tmp_path / "two", revision="v2")["frames"] == 400
    assert "curve.png" not in hub.repos[REPO]["main"], "the curve goes on after this checkpoint"
    hub.repos[REPO]["v2"] |= {"film.mp4": b"theirs"}
    joule.push(trained_run / "checkpoints" / "step-200", REPO, revision="v2")
    assert "curve.png" not in hub.repos[REPO]["v2"], "it is of the agent before"
    assert "film.mp4" in hub.repos[REPO]["v2"]
    said = str(joule.push(trained_run, REPO, revision="v$3"))
    fetches = f"joule pull {REPO} --revision 'v$3'\n"
    assert fetches in said, "without the branch another agent would be fetched"
    assert fetches in hub.repos[REPO]["v$3"]["README.md"].decode()
    assert f"joule pull {REPO}\n" in hub.repos[REPO]["main"]["README.md"].decode()


def test_what_is_to_be_private_goes_to_no_public_repository(hub: HubStub, trained_run: Path) -> None:
    joule.push(trained_run, "somebody/secret", private=True)
    joule.push(trained_run, "somebody/secret", private=True, revision="v2")
    hub.repos[REPO] = {"main": {}}
    with pytest.raises(Refused, match=f"--private: {REPO} exists and is public, and nothing was uploaded"):
        joule.push(trained_run, REPO, private=True, revision="v2")
    assert hub.repos[REPO] == {"main": {}}
    assert hub.private == {"somebody/secret"}


def test_a_server_without_xet_is_answered_with_the_variable(
    hub: HubStub, trained_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    def refusing(*_: Any, **__: Any) -> None:
        raise OSError(f"404 Not Found, domain: {hub.endpoint}/api/models/{REPO}/xet-write-token/main")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_commit", refusing)
    with pytest.raises(
        Refused, match=r"xet-write-token.*; for a server without Xet set HF_HUB_DISABLE_XET=1$"
    ):
        joule.push(trained_run, REPO)


def test_without_the_library_it_says_how_to_install_it(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    needs = r'needs huggingface_hub, which is not installed; pip install -e ".+\[hub\]"$'
    for act in (lambda: joule.pull(REPO, tmp_path / "x"), lambda: joule.push(trained_run, REPO)):
        with pytest.raises(Refused, match=needs):
            act()
