"""Checks of values that come from a file, which may come from another person. They lie below all packages.

`values` checks JSON values against a type that is declared once, `arrays` does the same for arrays,
`generators` for the states of random generators, `json_text` reads JSON of a bounded depth, `env_kwargs` says
which keyword arguments an environment may be given, and `model_file` which files stand for one. `env_id` and
`own_modules` say which modules a text names, and where they are, without importing them. Nothing is set before
everything is checked.
"""
