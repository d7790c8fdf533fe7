"""The kinds of planner by name."""

from joule_schema.own_modules import names_class

KINDS: dict[str, str] = {
    "random_shooting": "planners.random_shooting:RandomShooting",
    "cem": "planners.cem:CEM",
    "icem": "planners.icem:ICEM",
    "mppi": "planners.mppi:MPPI",
    "gradient": "planners.gradient:Gradient",
}
"""Kind -> module and class. The module also has the dataclass of the planner's settings, `<class>Settings`.

One line here and one module add a planner. The table holds names, so that reading it does not import torch.
"""


def home_of(kind: str) -> str | None:
    """The module and class of a kind; None for an unknown one.

    Args:
        kind: a name in `KINDS`, or `module:Class` for a planner in a file of the user's own.
    """
    return KINDS.get(kind) or (kind if names_class(kind) else None)
