"""The comparison: evaluations read from disk, honest statistics, figures, one page, and the film strip.

This room knows only numpy, matplotlib and pillow; it reads what runs wrote and never runs an agent.
"""
