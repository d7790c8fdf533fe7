"""Playing with a trained agent: a person watches it act, pushes it, and changes its environment and its costs."""
