"""Trained agents that are shared: the shared form of a run, its model card, and the Hugging Face Hub."""
