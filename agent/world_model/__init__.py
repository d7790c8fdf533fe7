"""WORLD MODEL: predicts the next latent. Holds the dynamics ensemble, change detection and adaptation."""
