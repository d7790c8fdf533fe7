"""Joule's own environments, one Python file and one MJCF file each.

`reach` (a two-link arm reaches a target), `push` (a pusher moves a block to a pose), `cup` (an arm moves a
cup that can fall off a table), `maze` (a ball rolls through a maze to a goal). `shortest_paths` has the
geometry of the maze. `model_file` makes an environment of any MJCF file.
"""
