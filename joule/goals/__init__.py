"""Reaching goals: pairs of a start and a goal, what acts between them, and how often it arrives."""
