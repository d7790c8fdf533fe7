"""CONFIGURATOR: the settings of a run, their validation, and switching tasks and constraints on a live agent."""
