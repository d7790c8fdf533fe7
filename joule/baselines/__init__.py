"""Agents to compare with: stable-baselines3's algorithms, and agents that do not learn."""
