"""SHORT-TERM MEMORY: the replay buffer of transitions, sampled as windows."""
