"""Callbacks: what a training run tells while it goes on, and the trackers that pass it on."""
