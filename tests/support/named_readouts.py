"""Two rows of readouts with known values."""

import torch

from agent.cost.readouts import NamedReadouts, Readouts

LAYOUT = Readouts(
    {"place": 2, "turn": 4, "rate": 1, "qvel": 2},
    {
        "height": {"of": "place", "at": [1], "sign": -1.0, "plus": 0.5, "as": "value"},
        "upright": {"of": "turn", "at": [0, 1, 2, 3], "sign": 1.0, "plus": 0.0, "as": "up"},
        "speed": {"of": "qvel", "at": [0, 1], "sign": 1.0, "plus": 0.0, "as": "length"},
        "position": {"of": "place", "at": [0, 1], "sign": 1.0, "plus": 0.0, "as": "value"},
    },
)


def named() -> NamedReadouts:
    """Two rows: place, a half turn about x or none, a rate, and velocities."""
    rows = [[3.0, 4.0, 0.0, 2.0, 0.0, 0.0, 7.0, 3.0, 4.0], [0.3, 0.4, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0, -2.0]]
    action = torch.tensor([[1.0, -1.0], [0.5, 0.0]])
    return LAYOUT.of(torch.tensor(rows), action, lambda: torch.tensor([10.0, 20.0]))
