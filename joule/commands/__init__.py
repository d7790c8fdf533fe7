"""The commands, one module each: `parser`, `main`, and the function that `joule` offers to Python."""
