"""The command play: what is refused before anything is loaded."""

from __future__ import annotations

import shutil
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import tiny_env
from commands import assert_help_is_instant, assert_refused

from agent.errors import ConfigError
from joule import extras
from joule.commands import play
from joule.playing.address import check_address
from joule.playing.panel import SPEEDS, speeds
from joule.storage.errors import RunError

pytest.importorskip("viser", reason="the extra `play` is not installed")


def test_help_is_instant() -> None:
    assert_help_is_instant("play", "--port")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["."], "run.json"),
        (["no-such-run"], "does not exist"),
        ([".", "--port", "65536"], "--port: 65536 is more than 65,535"),
        ([".", "--speed", "0"], "--speed: 0.0 is not a finite number above 0"),
        ([".", "--seed", "-1"], "--seed: -1"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], sentence: str) -> None:
    assert_refused("play", arguments, sentence)


def test_the_slider_of_the_speed_holds_the_speed_asked_for() -> None:
    assert speeds(0.5) == SPEEDS
    assert speeds(10.0) == (SPEEDS[0], 10.0, SPEEDS[2])
    assert speeds(0.05) == (0.05, SPEEDS[1], 0.05)


def test_a_page_needs_a_free_port_a_library_and_a_window_a_display(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"--port: {port} is in use; give another one, or 0"):
            play.main([str(trained_run), "--port", str(port)])
    check_address("127.0.0.1", port)
    with pytest.raises(ConfigError, match="--host: 'no such host'"):
        check_address("no such host", 0)
    with pytest.raises(
        ConfigError, match=r"--host: 'a\.\.b' is no address of this machine: no name of a host"
    ):
        check_address("a..b", 0)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(ConfigError, match=r"--render: human needs a display.*; leave --render out"):
        play.main([str(trained_run), "--render", "human"])

    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(extras, "import_module", missing)
    with pytest.raises(ConfigError, match=r"play: needs viser, which is not installed; pip install"):
        play.main([str(trained_run)])


def test_a_run_that_has_only_begun_says_when_it_can_be_played(trained_run: Path, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    shutil.copytree(trained_run, begun, ignore=shutil.ignore_patterns("step-*"))
    with pytest.raises(
        RunError, match="begun: has no checkpoint yet; try again when its training has written"
    ):
        play.main([str(begun)])


def test_an_environment_without_physics_is_refused(trained_run: Path) -> None:
    with pytest.raises(
        ConfigError, match=f"play: {tiny_env.RECORDED} has no MuJoCo model that could be shown"
    ):
        play.main([str(trained_run), "--port", "0"])
