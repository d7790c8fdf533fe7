"""From an id to a registered environment: what is refused, and with which words."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import gymnasium
import pytest

import envs


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("x" * 201, "malformed"),
        ("a:b:c", "malformed"),
        ("../x-v0", "malformed"),
        ("../x:Env-v0", "malformed"),
        ("dmc:", "malformed"),
        ("HalfCheeta-v5", "did you mean HalfCheetah-v5"),
        ("halfcheetah-v5", "did you mean HalfCheetah-v5"),
        ("HalfCheetah-v9", "exists in versions"),
        ("joule/Reech-v0", "did you mean joule/Reach-v0"),
        ("no_such_module:Env-v0", "no module 'no_such_module'"),
        ("counter_env:Count-v0", "did you mean counter_env:Counter-v"),
        ("CartPole-v1", "Discrete(2) is not a Box"),
    ],
)
def test_a_bad_id_is_refused_with_a_sentence(name: str, words: str) -> None:
    with pytest.raises(envs.EnvError) as refusal:
        envs.make(name)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_module_that_cannot_be_imported_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_module.py").write_text("raise RuntimeError('half written')")
    (tmp_path / "needy_module.py").write_text("import a_package_nobody_has")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(envs.EnvError, match="half written"):
        envs.make("broken_module:Env-v0")
    with pytest.raises(envs.EnvError, match="needs the package 'a_package_nobody_has'"):
        envs.make("needy_module:Env-v0")


def test_news_of_other_environments_are_not_shown_when_a_package_is_imported(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    from envs import registry

    (tmp_path / "chatty_package.py").write_text("import sys\nprint('HandOne-v1 is old', file=sys.stderr)")
    monkeypatch.syspath_prepend(tmp_path)
    for name, shown in (("PointMaze_UMaze-v3", []), ("HandOne-v1", ["chatty_package: HandOne-v1 is old"])):
        monkeypatch.delitem(sys.modules, "chatty_package", raising=False)
        registry._register("chatty_package", extra="robotics", env=name)
        assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == shown
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("dmc:walker-walk", "dm_control", "dmc"),
        ("PointMaze_UMaze-v3", "gymnasium_robotics", "robotics"),
    ],
)
def test_a_missing_package_comes_with_the_command_that_installs_it(
    name: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from envs import registry

    real = registry.importlib.util.find_spec
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda p: None if p == package else real(p))
    monkeypatch.setattr(registry, "_registered", lambda name, env: None)
    with pytest.raises(envs.EnvError) as refusal:
        envs.make(name)
    assert str(refusal.value).endswith(f'pip install -e "{Path(envs.__file__).parents[1]}[{extra}]"')


def test_outside_of_a_checkout_the_command_has_the_name_of_the_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from envs import registry

    installed: dict[str, Any] = {"joule": ["some-name"]}
    monkeypatch.setattr(registry, "__file__", str(tmp_path / "envs" / "registry.py"))
    monkeypatch.setattr(registry.importlib.metadata, "packages_distributions", lambda: installed)
    assert registry._install("dmc") == 'pip install "some-name[dmc]"'


def test_the_newest_version_is_taken_and_recorded() -> None:
    for version in (2, 10, 9):
        gymnasium.register(f"Versioned-v{version}", entry_point="counter_env:Counter")
    env_spec = envs.make("counter_env:Versioned").env_spec
    assert (env_spec.env, env_spec.resolved) == ("counter_env:Versioned", "Versioned-v10")
