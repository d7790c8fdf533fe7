"""Sweeps: the runs of agents x environments x seeds x settings, on this machine, on Ray or on Slurm."""
