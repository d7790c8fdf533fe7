"""Readouts: named physical quantities of an environment, for costs, constraints, reports and imagined ghosts.

`named` reads them from the simulator, `derived` names quantities that follow from them (velocity, height, …),
and `labels` names every number of an action and of the readouts for a reader.
"""
