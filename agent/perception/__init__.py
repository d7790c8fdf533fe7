"""PERCEPTION: observations to latents. Holds the encoder, regularisers, surprise, sensor-fault inference."""
