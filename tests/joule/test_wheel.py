"""The wheel does everything that the checkout does, installed in a new virtual environment outside it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("agent", "envs", "planners", "joule", "joule_errors", "joule_schema")
SMOKE = ["--preset", "smoke", "--env", "InvertedPendulum-v5", "--steps", "300", "--eval-episodes", "1"]
ROBOT = '''
"""An environment of the user's: a point on a line."""
import gymnasium, numpy as np

class Arm(gymnasium.Env):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}
    observation_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x = self.np_random.uniform(-1, 1, 1).astype(np.float32)
        return self.x, {}

    def step(self, action):
        self.x = np.clip(self.x + 0.1 * action, -1, 1).astype(np.float32)
        return self.x, -abs(float(self.x[0])), False, False, {}

    def render(self):
        return np.full((64, 96, 3), 100, np.uint8)

gymnasium.register("Arm-v0", Arm, max_episode_steps=20)
'''

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources, so that nothing is left in the checkout."""
    folder = tmp_path_factory.mktemp("build")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    try:
        isolated = int(version("setuptools").partition(".")[0]) < 77 or not version("setuptools-scm")
    except PackageNotFoundError:
        isolated = True
    options = [] if isolated else ["--no-build-isolation"]
    command = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--wheel-dir", "dist", *options]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
    (made,) = (folder / "dist").glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """`installed(folder, "joule", "train", ...)` runs a program of the new virtual environment in a folder.

    The libraries that Joule depends on are those of this environment; Joule itself is not.
    """
    home = tmp_path_factory.mktemp("user")
    place = home / "venv"
    venv.create(place, with_pip=False)
    paths = {name: sysconfig.get_path(name) for name in ("purelib", "platlib")}
    own = sysconfig.get_path("purelib", vars={"base": str(place), "platbase": str(place)})
    target = ["--prefix", str(place), "--no-deps", "--no-index", str(wheel)]
    install = [sys.executable, "-m", "pip", "install", "--ignore-installed", *target]
    subprocess.run(install, check=True, capture_output=True, timeout=300)
    # Lines of this file go to the end of the path, and .pth files that lie there are not read: the checkout
    # is not among them.
    (Path(own) / "libraries.pth").write_text("\n".join(dict.fromkeys(paths.values())) + "\n")
    programs = place / ("Scripts" if os.name == "nt" else "bin")
    script = programs / "joule"
    lines = script.read_text().splitlines()
    script.write_text("\n".join([f"#!{programs / 'python'}", *lines[1:]]) + "\n")
    variables = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")
    }
    variables |= {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
    }

    def run(folder: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [shutil.which(program, path=variables["PATH"]) or program, *arguments]
        if program == "python":
            command[0] = str(programs / "python")
        return subprocess.run(
            command, cwd=folder, env=variables, capture_output=True, text=True, check=False, timeout=500
        )

    return run


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    """What the program printed."""
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_in_an_empty_folder(installed: Run, tmp_path: Path) -> None:
    assert succeeded(installed(tmp_path, "joule", "--help")).startswith("usage: joule COMMAND")
    printed = succeeded(installed(tmp_path, "joule", "train", *SMOKE, "--no-video", "--out", "run"))
    assert "render:   joule render run --imagine" in printed
    follow_ups = dict(line.split(":", 1) for line in printed.splitlines() if ": " in line)
    for name in ("evaluate", "explain"):
        words = shlex.split(follow_ups[name])
        succeeded(installed(tmp_path, words[0], *words[1:-1], "1"))
    for name, end in (("compare", ["run"]), ("resume", [])):
        words = shlex.split(follow_ups[name].replace("OTHER_RUN", ""))
        words = [*words[:-1], "320"] if name == "resume" else [*words, *end]
        succeeded(installed(tmp_path, words[0], *words[1:]))
    assert (tmp_path / "comparison" / "compare.html").exists()
    assert (tmp_path / "run" / "explanations" / "step-300-seed-10000-decision-1.png").exists()
    program = "import joule; print(joule.__file__); print(joule.load('run').frames, *dir(joule))"
    file, names = succeeded(installed(tmp_path, "python", "-c", program)).splitlines()
    assert not Path(file).is_relative_to(ROOT)
    assert names.split()[0] == "320"
    printed = succeeded(installed(tmp_path, "joule", "demo", "reach", "--seconds", "0.2"))
    assert "in 5 decisions" in printed
    own = "import joule; e = joule.make_env('joule/Push-v0'); e.reset(seed=1)"
    succeeded(installed(tmp_path, "python", "-c", own))
    typed = "import pathlib, %s as p; assert pathlib.Path(p.__file__).with_name('py.typed').exists(), p"
    for name in PACKAGES:
        succeeded(installed(tmp_path, "python", "-c", typed % name))
    assert not set(os.listdir(tmp_path)) - {"run", "runs", "comparison"}


@pytest.mark.slow
def test_in_a_folder_with_an_agent_and_a_train_script_of_the_users(installed: Run, tmp_path: Path) -> None:
    for name in ("agent", "envs", "planners"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('this is not Joule')\n")
    (tmp_path / "train.py").write_text("raise SystemExit('this is not Joule')\n")
    brief = [*SMOKE, "--agent", "zero", "--no-video"]
    printed = succeeded(installed(tmp_path, "joule", "train", *brief, "--out", "one"))
    assert "evaluate: joule evaluate one" in printed
    printed = succeeded(installed(tmp_path, "python", "-m", "joule", "train", *brief, "--out", "two"))
    assert " -m joule evaluate two" in printed
    succeeded(installed(tmp_path, "python", "-m", "joule", "evaluate", "two", "--episodes", "1"))
    refused = installed(tmp_path, "python", "-c", "import joule")
    assert refused.returncode == 1
    last = refused.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: joule: ")
    assert "hides Joule's own package 'agent'" in last


@pytest.mark.slow
def test_with_an_environment_of_the_users_beside(installed: Run, tmp_path: Path) -> None:
    (tmp_path / "my_robot.py").write_text(ROBOT)
    options = ["--env", "my_robot:Arm-v0", "--preset", "smoke", "--steps", "60", "--eval-episodes", "1"]
    succeeded(installed(tmp_path, "joule", "train", *options, "--explore.warmup-decisions", "40"))
    (run,) = (tmp_path / "runs").iterdir()
    assert (run / "videos" / "step-60.mp4").exists()
    name = str(run.relative_to(tmp_path))
    succeeded(installed(tmp_path, "joule", "evaluate", name, "--episodes", "1"))
    assert succeeded(installed(tmp_path, "joule", "render", name)).splitlines()[-1].endswith(".mp4")
    # The recorded command makes the same run again.
    succeeded(installed(tmp_path, "sh", f"{name}/command.txt"))
    again = next(path for path in (tmp_path / "runs").iterdir() if path != run)
    assert (again / "config.json").read_bytes() == (run / "config.json").read_bytes()
    assert (again / "command.txt").read_text().startswith("joule train --env my_robot:Arm-v0")
