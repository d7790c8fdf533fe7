"""Changes of an environment's physics, sensors and actions, for robustness tests and domain randomisation.

`factors` has the table of what can be changed, how a change is written, and how it is put on a MuJoCo model.
`randomisation` has changes whose value is drawn anew in each episode.
`perturbation` has the wrapper that applies changes at a reset or within an episode.
"""
