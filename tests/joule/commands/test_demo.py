"""`joule demo`: a sentence at once, what the agent does, and a film; without OpenGL it plays all the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import imageio.v3 as iio
import pytest
from commands import ROOT, assert_help_is_instant, assert_refused

from envs.faults.errors import RenderError
from envs.rendering import video
from joule.commands import demo

pytestmark = pytest.mark.usefixtures("unchecked")


def test_it_shows_an_agent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert demo.main(["reach", "--seconds", "0.2"]) == 0
    printed, told = capsys.readouterr()
    assert printed.startswith("joule/Reach-v0, after 10,000 frames of training: return 82.9 ")
    assert "distance" in printed
    assert "energy task" in printed
    assert "\nreturn " in printed
    assert "film:         runs/reach/videos/demo.mp4" in printed
    assert told == ""
    assert len(iio.imread(tmp_path / "runs/reach/videos/demo.mp4")) == 6


def test_without_opengl_it_plays_and_says_why_there_is_no_film(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def refusing(*arguments: object) -> None:
        raise RenderError("there is no OpenGL")

    monkeypatch.setattr("joule.filming.recording.write_mp4", refusing)
    assert video.write_mp4 is not refusing
    assert demo.main(["reach", "--seconds", "0.2"]) == 0
    printed = capsys.readouterr().out
    assert "no film:      there is no OpenGL" in printed
    assert "in 5 decisions" in printed
    assert "nan" not in printed, "the first decision has no surprise"


def test_the_first_sentence_comes_before_torch() -> None:
    program = (
        "import sys\nfrom joule.commands import demo\nfrom joule.storage import shipped\n"
        "print(demo._introduction(shipped.SHIPPED / 'reach'))\n"
        "assert not {'torch', 'mujoco', 'numpy'} & sys.modules.keys()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_bad_input_is_one_sentence(tmp_path: Path) -> None:
    assert_refused("demo", ["--out", str(tmp_path)], "is a folder, and not a plain file")
    assert_refused("demo", ["--out", "a.gif"], "--out: a.gif is no film; give a name that ends in .mp4, .mov")
    assert_refused(
        "demo", ["ant"], "'ant' is no agent that comes with Joule; there are halfcheetah, reach, walker"
    )
    assert_refused("demo", ["--seconds", "0"], "--seconds: 0")


@pytest.mark.parametrize(
    ("name", "option"), [("demo", "--seconds"), ("push", "--private"), ("pull", "--revision")]
)
def test_help_is_instant(name: str, option: str) -> None:
    assert_help_is_instant(name, option)
