"""A run with compiled gradients, in processes of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny_env
from run_comparison import assert_same_run, checkpoint_frames

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_a_compiled_run_resumes_exactly_and_has_the_gradients_by_hand(
    brief_options: Callable[..., list[str]], tmp_path: Path
) -> None:
    paths = os.pathsep.join((str(ROOT), str(ROOT / "tests/support")))
    environment = {**os.environ, "PYTHONPATH": paths, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}

    def run(*command: str) -> None:
        result = subprocess.run(
            [sys.executable, *command], env=environment, cwd=tmp_path, capture_output=True, text=True
        )
        assert result.returncode == 0, result.stderr

    whole, resumed, train = tmp_path / "whole", tmp_path / "resumed", str(ROOT / "train.py")
    settings = brief_options(env=f"tiny_env:{tiny_env.ID}", learning__compiled=True, learning__n_step=1)
    run(train, *settings, "--out", str(whole))
    shutil.copytree(whole, resumed)
    for frames in checkpoint_frames(resumed)[1:]:
        shutil.rmtree(resumed / "checkpoints" / f"step-{frames}")
    run(train, "--resume", str(resumed))
    assert_same_run(whole, resumed)
    run("-m", "compiled_learning", str(whole))
