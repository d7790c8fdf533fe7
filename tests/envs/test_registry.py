"""From an id to a registered environment: what is refused, and with which words."""

from __future__ import annotations

import contextlib
import functools
import logging
import sys
import warnings
from pathlib import Path
from typing import Any, cast

import counter_env
import gymnasium
import pytest

import envs
from envs.faults.errors import EnvError
from envs.registry import checked_id, complete_id
from joule_errors import Advice


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
        ("HalfCheeta-v4", "did you mean HalfCheetah-v5?"),
        ("Bogus-v0", "no registered id is like it"),
        ("walker-walk", "did you mean dmc:walker-walk?"),
        ("humanoid_CMU-run-v0", "did you mean dmc:humanoid_CMU-run?"),
        (
            "no_such_module:Env-v0",
            "no module 'no_such_module' on the path or in this folder; run the command in the folder that holds "
            "no_such_module.py, or install your package",
        ),
        ("no_such.module:Env-v0", "run the command in the folder that holds no_such, or"),
        ("my_reg.py:Arm-v0", "my_reg.py:Arm-v0: write my_reg:Arm-v0, without .py"),
        ("sub/my_reg.py:Arm-v0", "write my_reg:Arm-v0, without .py, and run the command in sub"),
        ("models/my_arm.xml", "make joule/Model-v0 with kwargs"),
        ("counter_env:Count-v0", "did you mean counter_env:Counter-v"),
        ("CartPole-v1", "Discrete(2) is not a Box"),
    ],
)
def test_a_bad_id_is_refused_with_a_sentence(name: str, words: str) -> None:
    with pytest.raises(envs.EnvError) as refusal:
        envs.make(name)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        (
            "",
            "My-v0",
            "{file}, which registers no such id; add to it "
            'gymnasium.register(id="My-v0", entry_point="{module}:YourClass", max_episode_steps=...)',
        ),
        ("", "My", 'gymnasium.register(id="My-v0"'),
        ("", "HalfCheetah-v9", "registers no such id; add"),  # what others register is not suggested
        ("register('OwnArm-v0', 'a:A')", "OwnArn-v0", ": did you mean {module}:OwnArm-v0?"),
        (
            "register('OwnArm-v0', 'a:A'); register('OwnArm-v1', 'a:A')",
            "OwnArm-v2",
            "mean {module}:OwnArm-v1?",
        ),
        (
            "register('OwnArm-v0', 'a:A')",
            "Crane-v0",
            "{file}, which registers no such id; give {module}:OwnArm-v0",
        ),
    ],
)
def test_a_module_without_the_id_is_named_with_what_it_registers(
    text: str,
    name: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    module = f"own_registry_{request.node.callspec.indices['words']}"
    file = tmp_path / f"{module}.py"
    file.write_text(f"from gymnasium import register\n{text}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(envs.EnvError) as refusal:
        envs.make(f"{module}:{name}")
    for id in ("OwnArm-v0", "OwnArm-v1"):
        gymnasium.registry.pop(id, None)
    assert words.format(file=file, module=module) in str(refusal.value)


def test_a_folder_that_is_no_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "only_a_folder").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(envs.EnvError, match=r"the folder .*only_a_folder, which has no __init__.py"):
        envs.make("only_a_folder:My-v0")


def test_a_package_with_the_name_of_one_of_joule_is_named() -> None:
    with pytest.raises(envs.EnvError, match="envs is a package of Joule, which hides one of yours"):
        envs.make("envs:My-v0")


def test_the_tasks_of_dm_control_are_those_that_it_has() -> None:
    suite = pytest.importorskip("dm_control.suite")
    from envs.suggestions import DM_CONTROL_TASKS

    assert {(d, t) for d, tasks in DM_CONTROL_TASKS.items() for t in tasks.split()} == set(suite.ALL_TASKS)


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("HalfCheetah-v5", "HalfCheetah-v5"),
        ("HalfCheetah-v4", "HalfCheetah-v4"),
        ("HalfCheetah", "HalfCheetah-v5"),
        ("joule/Push", "joule/Push-v0"),
        ("unread_module:Env-v0", "unread_module:Env-v0"),
        ("Bogus-v0", None),
        ("walker-walk", None),
        ("no_such_module:Env-v0", None),
    ],
)
def test_an_id_is_checked_without_an_import(
    name: str, named: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from envs import registry

    (tmp_path / "unread_module.py").write_text("raise RuntimeError('imported')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry.importlib, "import_module", None)
    with pytest.raises(envs.EnvError) if named is None else contextlib.nullcontext():
        assert registry.checked_id(name) == named


def test_a_module_that_cannot_be_imported_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_module.py").write_text("raise RuntimeError('half written')")
    (tmp_path / "needy_module.py").write_text("import a_package_nobody_has")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(envs.EnvError, match="half written"):
        envs.make("broken_module:Env-v0")
    with pytest.raises(envs.EnvError, match="needs the package 'a_package_nobody_has'"):
        envs.make("needy_module:Env-v0")


@pytest.mark.parametrize(
    ("python", "told"),
    [((3, 12), r"install it with: .*\[dmc\]"), ((3, 13), r"which needs Python 3\.12 or older$")],
)
def test_a_missing_package_is_named_with_what_to_do(
    python: tuple[int, int], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from envs import registry

    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(registry.sys, "version_info", (*python, 1))
    extra = registry._extra_packages("dm_control/walker-walk-v0")
    assert extra is not None
    with pytest.raises(envs.EnvError, match=f"dmc:walker-walk needs the package shimmy, {told}"):
        registry._need(extra, "dmc:walker-walk")


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
    monkeypatch.setattr(registry, "_registered", lambda name: None)
    with pytest.raises(envs.EnvError) as refusal:
        envs.make(name)
    assert str(refusal.value).endswith(f'pip install -e "{Path(envs.__file__).parents[1]}[{extra}]"')


def test_outside_of_a_checkout_the_command_has_the_name_of_the_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from joule_errors import extras

    installed: dict[str, Any] = {"joule": ["some-name"]}
    monkeypatch.setattr(extras, "__file__", str(tmp_path / "joule_errors" / "extras.py"))
    monkeypatch.setattr(extras.importlib.metadata, "packages_distributions", lambda: installed)
    assert extras.install_command("dmc") == 'pip install "some-name[dmc]"'


def test_the_newest_version_is_taken_and_recorded() -> None:
    for version in (2, 10, 9):
        gymnasium.register(f"Versioned-v{version}", entry_point="counter_env:Counter")
    env_spec = envs.make("counter_env:Versioned").env_spec
    assert (env_spec.env, env_spec.resolved) == ("counter_env:Versioned", "Versioned-v10")


def test_an_id_of_a_module_is_completed_by_its_newest_version() -> None:
    for version in (1, 2):
        gymnasium.register(f"Completed-v{version}", entry_point="counter_env:Counter")
    assert complete_id("counter_env:Completed") == "counter_env:Completed-v2"
    assert complete_id("counter_env:Completed-v1") == "counter_env:Completed-v1"
    assert complete_id("dmc:walker-walk") == "dmc:walker-walk"


def test_an_id_is_recorded_with_the_module_that_another_process_has_to_import(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gymnasium.register("Recorded-v0", entry_point="counter_env:Counter")
    assert checked_id("Recorded") == "counter_env:Recorded-v0"
    gymnasium.register("Recorded-v1", entry_point=cast(Any, counter_env.Counter))
    assert checked_id("Recorded-v1") == "counter_env:Recorded-v1"
    gymnasium.register(
        "FetchMine-v0", entry_point="counter_env:Counter"
    )  # the name says nothing of its package
    assert checked_id("FetchMine-v0") == "counter_env:FetchMine-v0"
    gymnasium.register(
        "Recorded-v2", entry_point=cast(Any, functools.partial(counter_env.Counter, truncate_at=9))
    )
    assert checked_id("Recorded-v2") == "counter_env:Recorded-v2"
    assert checked_id("HalfCheetah") == "HalfCheetah-v5"
    assert checked_id("joule/Reach-v0") == "joule/Reach-v0"
    for module in ("__main__", "<run_path>", "a_file_that_was_loaded_by_its_path"):
        monkeypatch.setattr(counter_env.Counter, "__module__", module)
        with pytest.warns(Advice, match="Recorded-v1 is registered by the script that runs, where no other"):
            assert checked_id("Recorded-v1") == "Recorded-v1"
        with warnings.catch_warnings():
            warnings.simplefilter("error", Advice)  # it is said once
            assert checked_id("Recorded-v1") == "Recorded-v1"


def test_a_package_that_another_one_hides_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "my_arm.py").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EnvError, match=r"the package 'envs' in .* hides the one here; rename yours"):
        envs.make("envs.my_arm:Arm-v0")
