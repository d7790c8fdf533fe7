"""How the modules learn: losses, one gradient step, schedule, interaction loop, learning another task."""
