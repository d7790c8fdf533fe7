"""The table of environments on the page of readouts is that of the environments."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pytest

import joule
from envs.physics import find_physics
from envs.readouts.joints import JointReadouts

PAGE = Path(__file__).parents[1] / "docs/guide/readouts.md"
ROWS = {
    cells[0].strip("`"): cells[1:]
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if re.match(r"\| `[^`]*(-v\d|dmc:)", line)
    for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
}
OF_ROOT = {"position", "velocity", "speed", "height", "climb", "pitch", "upright", "roll", "heading"}
EXTRAS = {"dmc:": "dm_control", "PointMaze": "gymnasium_robotics", "Adroit": "gymnasium_robotics"}


@pytest.mark.slow
@pytest.mark.parametrize("env", ROWS)
def test_a_row_is_that_of_the_environment(env: str) -> None:
    for begin, module in EXTRAS.items():
        if env.startswith(begin):
            pytest.importorskip(module)
    own, numbers, joints, derived = ROWS[env]
    with closing(joule.make_env(env)) as made:
        made.reset(seed=0)
        spec, physics = made.env_spec, find_physics(made)
        assert physics is not None
        model = physics.model
        defined = made.unwrapped.readouts() if hasattr(made.unwrapped, "readouts") else {}
        sizes = [value.size for name, value in defined.items() if name not in ("qpos", "qvel")]
        names = {joint.name for joint in JointReadouts(model).joints}
    assert int(own) == model.nq + model.nv + sum(sizes)
    assert int(numbers) == sum(spec.readout_sizes.values())
    assert set(re.findall(r"`(\w+)`", joints)) <= names
    assert set(re.findall(r"`(\w+)`", derived)) == set(spec.derived_readouts) & OF_ROOT
