"""The state of an environment: snapshots that restore an episode exactly, and the determinism check.

`snapshot` saves and restores an environment with its wrappers, and `episode_record` what is inside of them.
`snapshot_schema` checks what comes from a file. `physics_state` reads and sets MuJoCo's state, `python_state` what
an environment keeps in Python attributes and random generators, `extra_state` what it saves itself.
`python_objects` finds what no snapshot holds, and `determinism` tests whether one seed gives one episode.
"""
