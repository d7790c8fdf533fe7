"""Rendering with or without a screen: OpenGL, cameras, videos, and the ghost of a predicted pose.

`opengl` chooses the backend, `camera` keeps a moving robot in view, `video` writes mp4 files, `poses` turns
predictions into poses of the robot, and `ghost` draws it twice in its scene.
"""
