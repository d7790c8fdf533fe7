"""Recorded episodes to learn from, without interaction: where they are read, and how they are checked."""
