"""The state of an environment: snapshots that restore an episode exactly, and the determinism check.

`snapshot` records an episode and restores it, `python_state` copies what an environment keeps in Python
attributes and random generators, and `determinism` tests whether one seed gives one episode.
"""
