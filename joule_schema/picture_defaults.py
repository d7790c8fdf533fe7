"""Settings whose default depends on whether pictures are observed: for networks, and for reports of runs."""

ENCODER_LEARNING_RATE, INVERSE_WEIGHT = "learning.encoder_learning_rate", "learning.inverse_weight"

OF_PICTURES = {INVERSE_WEIGHT: (0.0, 1.0), ENCODER_LEARNING_RATE: (3e-4, 1e-3)}
"""Settings -> their values where none is given: without pictures, and where pictures are observed."""
