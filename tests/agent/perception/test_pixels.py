"""Pictures are encoded alike in any number, shifted as one window, and combined with the state."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from agent.configurator.settings import ModelConfig
from agent.errors import ConfigError
from agent.perception import pixels, regularizers
from agent.perception.factory import encoder_kind

PICTURE = SimpleNamespace(name="pixels", shape=(6, 32, 32), dtype="uint8", angles=(), stack=2)
STATE = SimpleNamespace(name="state", shape=(5,), dtype="float32", angles=(1,), stack=1)


def pictures(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def encoder(*parts: Any) -> tuple[Any, Any]:
    torch.manual_seed(0)
    kind, model = encoder_kind(parts), ModelConfig(latent_dim=16, hidden_dim=32)
    return kind.normalizer(parts, model), kind.encoder(parts, model, regularizers.make("simnorm", {}))


def test_pictures_are_encoded_alike_in_any_number(monkeypatch: pytest.MonkeyPatch) -> None:
    normalizer, encode = encoder(PICTURE)
    obs = pictures(3, 5, 6, 32, 32)
    with torch.no_grad():
        whole = encode(normalizer(obs))
        monkeypatch.setattr(pixels, "AT_A_TIME", 4)
        parts = encode(normalizer(obs))
    assert whole.shape == (3, 5, 16)
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(encode(normalizer(obs[1])), whole[1])


@pytest.mark.parametrize(("height", "width"), [(32, 32), (30, 37)])
def test_the_first_layer_is_a_convolution_of_patches(height: int, width: int) -> None:
    rows = pictures(3, 6, height, width)
    weight = torch.randn(8, 6 * 16, generator=torch.Generator().manual_seed(2))
    padded = F.pad(rows.float(), (0, -width % 4, 0, -height % 4))
    expected = F.conv2d(padded, weight.view(8, 6, 4, 4), stride=4).permute(0, 2, 3, 1)
    found = pixels.in_patches(rows)
    assert torch.equal(found.float(), pixels.in_patches(rows.float())), (
        "words of bytes are cut as numbers are"
    )
    torch.testing.assert_close(F.linear(found.float(), weight), expected, atol=0.01, rtol=1e-4)


def test_pictures_that_hardly_differ_are_told_apart_in_bfloat16() -> None:
    _, encode = encoder(PICTURE)
    obs = 200 + pictures(8, 6, 32, 32) % 2
    encode.usual.copy_(obs.float().mean(0) / 255.0)
    encode.spread.fill_(0.002)
    exact = encode.features(obs, *encode.first_layer())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = encode.features(obs, *encode.first_layer()).float()
    assert (found - exact).square().mean().sqrt() < 0.03 * exact.std(0).mean()


@torch.no_grad()
def test_a_feature_tells_where_it_is() -> None:
    _, encode = encoder(PICTURE)
    encode.usual.zero_()
    encode.spread.fill_(1.0)
    for layer in (encode.patches, encode.convolution):
        layer.weight.zero_()
        layer.bias.zero_()
    encode.patches.weight[0] = 1.0  # the first feature is the brightness of a patch
    encode.convolution.weight[0, 0, 1, 1] = 1.0
    obs = torch.zeros(3, 6, 32, 32, dtype=torch.uint8)
    obs[0, :, 8:12, 20:24] = 255  # the patch in row 2, column 5 of 8
    obs[1, :, 8:12, 20:24] = obs[1, :, 16:20, 20:24] = 255
    found = encode.features(obs, *encode.first_layer())
    step = 2 * pixels.POSITION_SCALE / 7
    expected = torch.tensor([[2 * step, 5 * step], [3 * step, 5 * step], [3.5 * step, 3.5 * step]])
    torch.testing.assert_close(found[:, :2], expected - pixels.POSITION_SCALE, atol=1e-4, rtol=0.0)


def test_none_is_encoded_as_none() -> None:
    _, encode = encoder(PICTURE)
    assert encode(pictures(0, 6, 32, 32)).shape == (0, 16)


def test_a_state_beside_the_pictures_is_normalised_and_seen() -> None:
    normalizer, encode = encoder(PICTURE, STATE)
    obs = {"pixels": pictures(4, 6, 32, 32), "state": 100 + torch.arange(20.0).view(4, 5)}
    normalizer.update(obs)
    read = normalizer(obs)
    assert read["state"].shape == (4, 6), "an angle is read as sine and cosine"
    assert read["state"][:, 0].mean().abs() < 1e-5
    z = encode(read)
    z.sum().backward()
    assert all(parameter.grad is not None for parameter in encode.parameters())
    other = encode(normalizer({**obs, "state": obs["state"].flip(0)}))
    assert not torch.allclose(z, other)


def test_what_never_changes_is_subtracted() -> None:
    normalizer, encode = encoder(PICTURE)
    normalizer.readers = (encode,)
    background = pictures(6, 32, 32)
    obs = background.expand(50, 6, 32, 32).clone()
    obs[:25, :, 10:12, 10:12] = 255 - obs[:25, :, 10:12, 10:12]
    before = encode(obs).std(0).mean()
    normalizer.update(obs[:20])
    normalizer.update(obs[20:])
    torch.testing.assert_close(encode.usual, obs.float().mean(0) / 255.0, atol=1e-4, rtol=0.0)
    expected = (obs.float() / 255.0 - encode.usual).square().mean().sqrt()
    torch.testing.assert_close(encode.spread, expected, atol=1e-4, rtol=0.0)
    assert encode(obs).std(0).mean() > 5 * before, "a few pixels change, and they are what the latents show"


def test_a_window_is_shifted_as_one() -> None:
    torch.manual_seed(3)
    row = torch.arange(32, dtype=torch.uint8)
    first = (3 * row.unsqueeze(0) + 4 * row.unsqueeze(1)).expand(2, 16, 3, 32, 32).contiguous()
    moved = pixels.shifted(first, 4)
    np.testing.assert_array_equal(moved[0], moved[1])
    corners = moved[0, :, 0, 8, 8].tolist()
    known = {3 * (8 + right) + 4 * (8 + down) for right in range(-4, 5) for down in range(-4, 5)}
    assert set(corners) <= known
    assert len(set(corners)) > 5, "every window has a shift of its own"
    for window in range(16):
        padded = np.pad(first[0, window, 0].numpy(), 4, mode="edge")
        found = moved[0, window, 0].numpy()
        assert any(
            np.array_equal(found, padded[4 + down : 36 + down, 4 + right : 36 + right])
            for down in range(-4, 5)
            for right in range(-4, 5)
        )


@pytest.mark.parametrize("shape", [(32, 32), (12, 48), (48, 12), (1, 8)])
def test_the_largest_shift_keeps_a_part_of_every_picture(shape: tuple[int, int]) -> None:
    torch.manual_seed(4)
    first = pictures(2, 200, 3, *shape)
    moved = pixels.augmented({"pixels": first}, "pixels", 64)["pixels"]
    assert moved.shape == first.shape
    for before, after in zip(first.unbind(1), moved.unbind(1), strict=True):
        assert set(after.unique().tolist()) <= set(before.unique().tolist())


def test_two_cameras_are_refused() -> None:
    other = SimpleNamespace(**{**vars(PICTURE), "name": "wrist"})
    with pytest.raises(ConfigError, match=r"pixels \[6, 32, 32\] uint8, wrist"):
        encoder_kind([PICTURE, other])
