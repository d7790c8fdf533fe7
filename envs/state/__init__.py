"""The state of an environment: snapshots that restore an episode exactly, and the determinism check.

`snapshot` records an episode and restores it, `snapshot_schema` checks what comes from a file, `python_state`
copies what an environment keeps in Python attributes and random generators, `python_objects` finds what no
snapshot holds, and `determinism` tests whether one seed gives one episode.
"""
