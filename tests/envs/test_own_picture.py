"""Environments whose own observation is a picture: how it is read, stacked and restored, and what is refused."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import picture_env
import pytest
from gymnasium import spaces

import envs
from envs.faults.errors import EnvError, EnvFault
from envs.own_picture import NOTHING, own_picture, picture_named
from envs.rendering.pixels import PixelSettings
from envs.state.determinism import check_determinism
from envs.vector import SafeEnvs
from joule_errors import Advice

PICTURE: spaces.Space[Any] = spaces.Box(0, 255, (64, 48, 3), np.uint8)
FLAT_PICTURE: spaces.Space[Any] = spaces.Box(0, 255, (64, 48), np.uint8)
BOX: spaces.Space[Any] = spaces.Box(-1.0, 1.0, (2,), np.float32)


def make(stack: int = 3, **kwargs: Any) -> envs.SafeEnv:
    pixels = (
        PixelSettings(16, "front", stack, with_state=True) if kwargs.get("kind") == picture_env.TWO else None
    )
    return envs.make(picture_env.ID, kwargs=kwargs, stack=stack, pixels=pixels)


KINDS = (*picture_env.KINDS, picture_env.TWO)


def picture_of(observation: Any) -> np.ndarray:
    found: np.ndarray = observation["pixels"] if isinstance(observation, dict) else observation
    return found


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_stacked_channels_first_oldest_first(kind: str, channels: int) -> None:
    env = make(kind=kind, channels=channels)
    part = env.env_spec.observation[0]
    assert (part.shape, part.dtype, part.stack) == ((3 * channels, 16, 16), "uint8", 3)
    observation: Any = env.reset(seed=1)[0]
    assert env.observation_space.contains(observation)
    inner: Any = env.unwrapped
    frames = [picture_of(observation)[-channels:]]
    for _ in range(3):
        observation = env.step(np.ones(1, np.float32))[0]
        frames.append(inner.canvas.transpose(2, 0, 1).copy())
    np.testing.assert_array_equal(picture_of(observation), np.concatenate(frames[1:]))
    assert (frames[1] != frames[3]).any(), "the column moves, and the environment's one canvas was copied"
    if kind in ("dict", picture_env.TWO):
        np.testing.assert_array_equal(observation["state"], np.array([inner.place, inner.speed], np.float32))


@pytest.mark.parametrize("kind", KINDS)
def test_an_episode_is_restored_with_its_pictures(kind: str) -> None:
    env, other = make(kind=kind), make(kind=kind)
    env.reset(seed=1)
    for _ in range(4):
        env.step(np.full(1, 0.3, np.float32))
    saved = env.snapshot()
    expected: Any = env.step(np.full(1, -0.7, np.float32))[0]
    assert other.restore(saved)
    found: Any = other.step(np.full(1, -0.7, np.float32))[0]
    np.testing.assert_array_equal(picture_of(found), picture_of(expected))
    assert other.exact
    third = make(kind=kind)
    assert not third.restore({**saved, "own_picture": saved["own_picture"] ^ 1}), (
        "another picture is another episode"
    )


def test_a_picture_that_no_seed_determines_is_found() -> None:
    env = make()
    inner: Any = env.unwrapped
    assert check_determinism(env, seed=1).deterministic
    reset = inner.reset

    def noisy(**how: Any) -> Any:
        picture, info = reset(**how)
        picture[0, 0] = np.random.default_rng().integers(256, size=1)
        return picture, info

    inner.reset = noisy
    assert not all(check_determinism(env, seed=1).deterministic for _ in range(4))


def test_a_picture_alone_has_a_readout() -> None:
    env = make()
    env.reset(seed=1)
    assert env.env_spec.readout_sizes == {"brightness": 1}
    inner: Any = env.unwrapped
    np.testing.assert_allclose(env.readouts(), inner.canvas.mean() / 255, rtol=1e-6)


def test_a_step_with_another_picture_is_a_fault() -> None:
    env = make()
    env.reset(seed=1)
    inner: Any = env.unwrapped
    inner.canvas = np.zeros((16, 16, 1), np.int64)
    with pytest.raises(EnvFault, match=r"the picture is int64 \[16, 16, 1\], the space uint8 \[16, 16, 1\]"):
        env.step(np.zeros(1, np.float32))


@pytest.mark.parametrize(
    ("space", "name"), [(FLAT_PICTURE, ""), (spaces.Dict({"eye": FLAT_PICTURE, "joints": BOX}), " 'eye'")]
)
def test_a_grey_picture_without_a_third_axis_is_said(space: spaces.Space[Any], name: str) -> None:
    said = rf"the observation{name} is uint8 \[64, 48\], which is read as 3,072 numbers; .* is \[64, 48, 1\]"
    with pytest.warns(Advice, match=said):
        assert own_picture(space) is None


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (
            spaces.Box(0, 1, (64, 64, 3), np.float32),
            "the observation is a picture of float32 [64, 64, 3]; a picture is",
        ),
        (spaces.Box(0, 255, (3, 64, 64), np.int64), "the observation is a picture of int64 [3, 64, 64]"),
        (spaces.Box(0, 255, (4, 84, 84, 1), np.uint8), "a picture of uint8 [4, 84, 84, 1]"),
        (spaces.Box(0, 255, (8, 8, 3), np.uint8), "of 16 to 512 pixels a side, grey (1) or RGB (3)"),
        (spaces.Box(0, 255, (64, 64, 9), np.uint8), "and --obs-frames stacks it"),
        (
            spaces.Dict({"a": PICTURE, "b": spaces.Dict({"c": PICTURE})}),
            "has the pictures 'a', 'b/c'; choose one with --obs pixels, or --obs pixels+state, and --obs-camera",
        ),
        (
            spaces.Dict({"eye": spaces.Box(0, 255, (480, 640, 3), np.uint8)}),
            "the observation 'eye' is a picture of [480, 640, 3], and at most 512 pixels a side are observed as "
            "they are; --obs pixels --obs-camera /eye shows it smaller",
        ),
        (spaces.Tuple([BOX, PICTURE]), "the observation '1' is a picture inside of a Tuple"),
        (spaces.Dict({"eyes": spaces.Tuple([BOX, PICTURE])}), "the observation 'eyes/1' is a picture inside"),
    ],
)
def test_other_pictures_are_refused_with_a_sentence(space: spaces.Space[Any], words: str) -> None:
    with pytest.raises(EnvError) as refusal:
        own_picture(space)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_what_is_no_picture_stays_flat() -> None:
    assert own_picture(spaces.Box(-1, 1, (2, 2, 3))) is None
    assert own_picture(spaces.Box(0, 255, (64, 64), np.uint8)) is None
    found = own_picture(spaces.Dict({"eye": PICTURE, "arm": BOX}))
    assert found is not None
    assert (found.shape, found.path, found.rest) == ((3, 64, 48), ("eye",), spaces.Dict({"arm": BOX}))
    assert own_picture(PICTURE).rest is NOTHING  # type: ignore[union-attr]
    assert own_picture(spaces.Box(0, 1, (1, 600, 20), np.float32)) is None


EYES: Any = spaces.Dict(
    {"eyes": spaces.Dict({"left": PICTURE, "right": PICTURE, "gaze": BOX}), "hand": PICTURE, "arm": BOX}
)


@pytest.mark.parametrize(
    ("name", "path"), [("hand", ("hand",)), ("eyes/left", ("eyes", "left")), ("right", ("eyes", "right"))]
)
def test_one_of_several_pictures_is_found_by_its_name(name: str, path: tuple[str, ...]) -> None:
    found = picture_named(EYES, name)
    assert found is not None
    assert found.path == path
    assert len(found.others) == 2
    assert found.rest == spaces.Dict({"eyes": spaces.Dict({"gaze": BOX}), "arm": BOX})
    observation = EYES.sample()
    picture, rest = found.split(observation)
    whole: Any = observation
    for key in path:
        whole = whole[key]
    np.testing.assert_array_equal(picture, whole.transpose(2, 0, 1))
    assert found.rest.contains(rest)
    assert picture_named(EYES, "tail") is None
    assert picture_named(PICTURE, "") is None


def test_a_name_that_two_pictures_have_is_refused() -> None:
    twice = spaces.Dict({"a": spaces.Dict({"eye": PICTURE}), "b": spaces.Dict({"eye": PICTURE})})
    with pytest.raises(
        EnvError, match="obs_camera: 'eye' is the end of '/a/eye' and '/b/eye'; give one of these"
    ):
        picture_named(twice, "eye")


def test_a_picture_that_is_chosen_has_the_size_that_is_asked_for() -> None:
    kwargs = {"kind": picture_env.TWO, "side": 520}
    env = envs.make(picture_env.ID, kwargs=kwargs, pixels=PixelSettings(32, "eyes/front", stack=2))
    observation: Any = env.reset(seed=1)[0]
    assert env.observation_space.contains(observation)
    assert observation.shape == (2, 32, 32)
    inner: Any = env.unwrapped
    column = round((inner.place + 1.0) / 2.0 * 31)
    assert abs(int(observation[0].mean(0).argmax()) - column) <= 1
    observation = env.step(np.ones(1, np.float32))[0]
    saved, other = (
        env.snapshot(),
        envs.make(picture_env.ID, kwargs=kwargs, pixels=PixelSettings(32, "eyes/front", stack=2)),
    )
    assert other.restore(saved)
    action = np.full(1, -0.5, np.float32)
    np.testing.assert_array_equal(np.asarray(env.step(action)[0]), np.asarray(other.step(action)[0]))


def test_a_camera_needs_none_of_the_pictures_that_the_environment_observes() -> None:
    pixels = PixelSettings(16, with_state=True)
    env = envs.make(picture_env.ID, kwargs={"kind": picture_env.TWO}, pixels=pixels)
    observation: Any = env.reset(seed=1)[0]
    assert observation["pixels"].shape == (9, 16, 16)
    inner: Any = env.unwrapped
    np.testing.assert_array_equal(observation["state"], np.array([inner.place, inner.speed], np.float32))


def test_a_picture_that_is_not_there_cannot_be_chosen() -> None:
    said = "obs_camera: Picture-v0 has no camera and no picture 'tail'; there are '/eyes/back', '/eyes/front'"
    with pytest.raises(EnvError, match=said):
        envs.make(picture_env.ID, kwargs={"kind": picture_env.TWO}, pixels=PixelSettings(camera="tail"))


def test_where_nothing_is_drawn_the_picture_that_is_observed_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(picture_env.PictureEnv, "render")
    env = envs.make(picture_env.ID, kwargs={"side": 520}, pixels=PixelSettings(32, stack=1))
    observation: Any = env.reset(seed=1)[0]
    assert observation.shape == (1, 32, 32)
    assert env.sees_own_picture
    with pytest.raises(EnvError, match="has no numbers beside its pictures; use --obs pixels"):
        envs.make(picture_env.ID, pixels=PixelSettings(32, with_state=True))
    with pytest.raises(
        EnvError, match="has no camera; give --obs-camera, one of '/eyes/back', '/eyes/front'"
    ):
        envs.make(picture_env.ID, kwargs={"kind": picture_env.TWO}, pixels=PixelSettings(32))


class Keyed(gymnasium.Env[Any, Any]):
    """A picture of a key that is no text; it takes no render mode."""

    parts: Any = {0: PICTURE, 1: BOX}  # noqa: RUF012
    observation_space: Any = spaces.Dict(parts)
    action_space: Any = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        return {0: np.full((64, 48, 3), 7, np.uint8), 1: np.ones(2, np.float32)}, {}

    def step(self, action: Any) -> Any:
        return {0: np.full((64, 48, 3), 7, np.uint8), 1: np.ones(2, np.float32)}, 0.0, False, False, {}

    def render(self) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize("pixels", [None, PixelSettings(16, "0", with_state=True)])
def test_a_key_may_be_a_number_and_a_picture_of_ones_own_is_not_drawn(pixels: PixelSettings | None) -> None:
    gymnasium.register("Keyed-v0", entry_point=f"{__name__}:Keyed", max_episode_steps=5)
    env = envs.make("Keyed-v0", pixels=pixels)
    observation: Any = env.reset(seed=1)[0]
    assert (observation["pixels"] == 7).all()
    np.testing.assert_array_equal(observation["state"], np.ones(2, np.float32))


def test_what_needs_numbers_is_refused() -> None:
    with pytest.raises(EnvError, match=r"'noise=0.1' is of sensors, and the agent observes pictures alone"):
        envs.make(picture_env.ID, perturb=["noise=0.1"])
    envs.make(picture_env.ID, kwargs={"kind": "dict"}, perturb=["noise=0.1"])
    with pytest.raises(EnvError, match=r"num_envs: Picture-v0 is seen in pictures"):
        SafeEnvs([make, make])
