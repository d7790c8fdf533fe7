"""The agent and its six modules: perception, world model, cost, actor, short-term memory, configurator.

This package learns and acts. Everything around it (run folders, commands, reports) is the package `joule`.
"""
