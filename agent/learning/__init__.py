"""How the modules learn: the losses, one gradient step, the schedule, the interaction loop, learning a task."""
