"""A run's modules are imported only with trust, and its versions are compared with the present ones."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from run_files import make_run

from joule.storage import provenance
from joule.storage.errors import RunError
from joule.storage.provenance import differences, version, versions
from joule.storage.run_folder import Run
from joule_errors import Advice

ROOT = Path(__file__).parents[3]


def test_a_module_is_trusted_only_by_its_maker_or_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_run(tmp_path / "run", env="my_pkg:Arm-v0").folder
    Run.open(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps({**config, "env": "evil:Arm-v0"})
    )  # changed by another person
    with pytest.raises(RunError, match="--trust-module evil"):
        Run.open(folder)
    Run.open(folder, trust_modules=["evil"])
    with pytest.raises(RunError):
        Run.open(folder, trust_modules=["my_pkg"])
    for module in ("a --trust-module b", "\x1b[2J", "\ud800", "", "..evil"):
        (folder / "config.json").write_text(json.dumps({**config, "env": f"{module}:Arm-v0"}))
        with pytest.raises(RunError, match="names no module") as caught:
            Run.open(folder, trust_modules=[module])
        assert str(caught.value).isprintable()
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another user"))
    with pytest.raises(RunError, match="--trust-module my_pkg"):
        Run.open(folder)


def test_a_user_without_a_home_folder_can_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(provenance.Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    Run.open(make_run(tmp_path / "plain").folder)
    with pytest.warns(Advice, match="--trust-module my_pkg"):
        folder = make_run(tmp_path / "own", env="my_pkg:Arm-v0").folder
    with pytest.raises(RunError, match="--trust-module my_pkg"):
        Run.open(folder)


def test_differences_name_the_versions_that_changed() -> None:
    saved = {"threads": 1, "versions": {**versions(), "torch": "0.1"}}
    assert differences(saved, {"threads": 1, "versions": versions()}) == [
        f"torch 0.1 -> {versions()['torch']}"
    ]
    assert not differences(saved, saved)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if commit.returncode == 0:
        assert commit.stdout.startswith(version())
