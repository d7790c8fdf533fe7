"""Reports of runs: statistics, tables, curves, pages, and the annotation of films.

This package reads what runs wrote and never runs an agent. It imports neither torch nor an environment.
"""
