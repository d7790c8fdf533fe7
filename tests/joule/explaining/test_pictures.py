"""Pictures of an explained decision: a ghost for each alternative, in view."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent import explanation
from joule.explaining import pictures
from joule.explaining.explanation_record import explanation_record
from joule.report import decision
from joule.trained import Trained

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.mark.slow
def test_an_environment_with_a_ghost_is_drawn_once_for_every_alternative(
    make_agent: Any, tmp_path: Path
) -> None:
    agent = make_agent(env="joule/Push-v0", max_episode_frames=20)
    env = pictures.env_for_pictures(Trained(agent, agent.config))
    record, drawn = explanation_record(agent, env, 1, 2)
    env.close()
    if record["no_picture"]:
        assert not drawn
        pytest.skip(record["no_picture"])
    assert 0 < record["ghosts_ahead"] < len(record["alternatives"][0]["predicted_readouts"])
    assert [picture.shape for picture in drawn] == 4 * [(pictures.HEIGHT, pictures.WIDTH, 3)]
    assert len(record["slice"]["energy"]) == len(record["slice"]["energy"][0]) == explanation.GRID
    decision.draw({"task": "", "perturb": [], **record}, drawn, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 50_000


def test_a_ghost_is_in_view_when_it_is_seen_and_not_cut() -> None:
    plain = np.zeros((20, 30, 3), np.uint8)
    found: dict[str, bool] = {}
    for name, rows, columns in (
        ("within", 9, 9),
        ("gone", 20, 0),
        ("left", 9, 0),
        ("right", 9, 29),
        ("top", 0, 9),
    ):
        with_ghost = plain.copy()
        with_ghost[rows : rows + 3, columns : columns + 3] = 90
        found[name] = pictures.in_view(with_ghost, plain)
    assert found == {"within": True, "gone": False, "left": False, "right": False, "top": False}
