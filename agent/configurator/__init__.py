"""CONFIGURATOR: settings and their validation; switching tasks, costs and constraints on a live agent."""
