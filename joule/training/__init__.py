"""Training runs: the trainer, evaluations on held-out seeds, and the log of forecasts."""
