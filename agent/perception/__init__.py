"""PERCEPTION: from observations to latents. Holds the encoder, its regularisers, surprise and fault inference."""
