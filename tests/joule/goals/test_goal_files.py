"""Goals that are files: pictures, and arrays of NumPy."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import joule
from agent.errors import ConfigError
from envs.env_spec import ObservationPart
from joule.goals.text import _image, goal_of
from joule.storage.env_spec import StoredEnvSpec
from joule.storage.goal_file import read_picture
from joule_errors import Advice

pytestmark = pytest.mark.usefixtures("unchecked")


def test_a_file_of_numpy_is_a_goal_and_a_pickle_is_refused(trained_run: Path, tmp_path: Path) -> None:
    agent: Any = joule.load(trained_run)
    wanted = np.array([0.5, 0.0, 0.0], np.float32)
    np.save(tmp_path / "goal.npy", wanted)
    goal: Any = goal_of(f"observation:{tmp_path / 'goal.npy'}", agent)
    assert np.array_equal(goal.observation, wanted)
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ConfigError, match="no array of NumPy"):
        goal_of(f"observation:{tmp_path / 'objects.npy'}", agent)


def test_several_parts_are_a_file_with_an_array_of_each(tmp_path: Path) -> None:
    parts = (SimpleNamespace(name="pixels"), SimpleNamespace(name="state"))
    agent: Any = SimpleNamespace(env_spec=SimpleNamespace(observation=parts))
    wanted: dict[str, Any] = {"pixels": np.ones((3, 4, 4), np.uint8), "state": np.arange(2.0)}
    np.savez(tmp_path / "goal.npz", **wanted)
    goal: Any = goal_of(f"observation:{tmp_path / 'goal.npz'}", agent)
    assert list(goal.observation) == ["pixels", "state"]
    assert all(np.array_equal(goal.observation[name], part) for name, part in wanted.items())
    np.savez(tmp_path / "half.npz", state=wanted["state"])
    with pytest.raises(ConfigError, match=r"has no array pixels; this agent observes pixels, state$"):
        goal_of(f"observation:{tmp_path / 'half.npz'}", agent)
    np.save(tmp_path / "state.npy", wanted["state"])
    with pytest.raises(ConfigError, match=r"state\.npy is not a \.npz file, .* it is one array"):
        goal_of(f"observation:{tmp_path / 'state.npy'}", agent)


def test_a_picture_is_a_goal_of_an_agent_that_observes_pixels(tmp_path: Path) -> None:
    agent: Any = joule.make("joule", env="joule/Reach-v0", preset="smoke", obs="pixels", obs_size=32)
    shade = np.zeros((64, 64, 3), np.uint8)
    shade[..., 0] = 200
    Image.fromarray(shade).save(tmp_path / "goal.png")
    goal: Any = goal_of(f"image:{tmp_path / 'goal.png'}", agent)
    assert goal.observation.shape == (9, 32, 32)
    assert goal.observation[::3].min() == 200
    assert goal.observation[1::3].max() == 0
    agent.plan_for(goal)
    Image.fromarray(shade[:48]).save(tmp_path / "wide.png")
    with pytest.warns(Advice, match="wide.png has 64 x 48 pixels, and is squeezed into 32 x 32"):
        goal_of(f"image:{tmp_path / 'wide.png'}", agent)
    agent.save(tmp_path / "run")
    loaded: Any = joule.load(tmp_path / "run")  # what a run says of its environment is enough
    with pytest.warns(Advice, match="wide.png has 64 x 48 pixels"):
        goal_of(f"image:{tmp_path / 'wide.png'}", loaded)
    Image.fromarray(shade[..., 0]).save(tmp_path / "grey.png")
    with pytest.warns(Advice, match="grey.png is grey, and the agent sees colours"):
        goal_of(f"image:{tmp_path / 'grey.png'}", agent)
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ConfigError, match=r"text.png is no picture that can be read; give a PNG or a JPEG$"):
        goal_of(f"image:{tmp_path / 'text.png'}", agent)
    with pytest.raises(ConfigError, match=r"as numpy\.save writes it; a picture is image:FILE"):
        goal_of(f"observation:{tmp_path / 'goal.png'}", agent)


def test_a_picture_of_a_drawing_has_the_shape_of_the_drawing(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "goal.png")
    part = ObservationPart("pixels", (3, 32, 32), "uint8")
    spec = StoredEnvSpec("E-v0", (part,), 1, 9, 1, {"brightness": 1}, {}, {"mujoco": False})
    agent: Any = SimpleNamespace(config=SimpleNamespace(obs="pixels"), env_spec=spec)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture: Any = _image(str(tmp_path / "goal.png"), agent)
    assert picture.shape == (3, 32, 32)


def test_a_picture_whose_colours_would_be_guessed_is_refused(tmp_path: Path) -> None:
    clear = np.full((4, 4, 4), 255, np.uint8)
    Image.fromarray(clear).save(tmp_path / "opaque.png")
    picture, colours = read_picture(tmp_path / "opaque.png", grey=False)
    assert (picture.shape, picture.min(), colours) == ((3, 4, 4), 255, True)
    clear[0, 0, 3] = 0
    Image.fromarray(clear).save(tmp_path / "clear.png")
    Image.fromarray(np.full((4, 4), 30_000, np.uint16)).save(tmp_path / "deep.png")
    frames = [Image.new("RGB", (4, 4), shade) for shade in ("red", "blue")]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:])
    for name, why in (
        ("clear.png", "is transparent in places"),
        ("deep.png", "has more than 8 bits a number"),
        ("film.gif", "shows several pictures in turn"),
    ):
        with pytest.raises(ValueError, match=why):
            read_picture(tmp_path / name, grey=False)
