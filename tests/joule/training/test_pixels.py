"""An agent that sees pixels is trained, resumed exactly, and acts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import picture_env
import pytest
from run_comparison import assert_same_run

import joule
from envs.rendering.opengl import ensure_gl
from joule.commands import explain, render, train

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(ensure_gl() is not None, reason="no OpenGL library"),
]


def options(folder: Path, obs: str) -> list[str]:
    own = {"env": f"picture_env:{picture_env.ID}", "env-kwargs": f'{{"kind": "{obs}"}}'}
    seen = own if obs in picture_env.KINDS else {"env": "InvertedPendulum-v5", "obs": obs, "obs-size": 32}
    given = seen | {
        "steps": 90, "eval-every-frames": 45,
        "eval-episodes": 1, "checkpoint-every-frames": 30, "explore.warmup-decisions": 30, "out": folder,
        "learning.pretrain-updates": 4, "learning.batch-size": 8, "model.latent-dim": 16, "model.hidden-dim": 32,
    }  # fmt: skip
    return [*(f"--{name}={value}" for name, value in given.items()), "--preset=smoke", "--no-video"]


@pytest.mark.parametrize("obs", ["pixels", "pixels+state", "hwc", "dict"])
def test_a_killed_run_with_pixels_is_resumed_exactly(
    obs: str, tmp_path: Path, at_frame: Callable[..., Any]
) -> None:
    class Killed(BaseException):
        """Stands for the end of the process."""

    def die() -> None:
        raise Killed

    assert train.main(options(tmp_path / "whole", obs)) == 0
    at_frame(70, die)
    with pytest.raises(Killed):
        train.main(options(tmp_path / "killed", obs))
    at_frame(None, die)
    assert train.main(["--resume", str(tmp_path / "killed")]) == 0
    assert_same_run(tmp_path / "whole", tmp_path / "killed")
    agent: Any = joule.load(tmp_path / "whole")
    assert agent.config.obs == ("state" if obs in picture_env.KINDS else obs)
    env = joule.make_env(agent.config)
    seen, _ = env.reset(seed=5)
    action, state = agent.predict(seen)
    assert action.shape == (1,)
    assert np.isfinite(agent.explain(state)["critic"]).all()
    env.close()
    if obs in picture_env.KINDS:
        assert explain.main([str(tmp_path / "whole"), "--step", "5"]) == 0
        assert render.main([str(tmp_path / "whole"), "--imagine"]) == 0
