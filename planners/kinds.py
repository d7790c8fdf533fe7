"""The kinds of planner by name."""

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
