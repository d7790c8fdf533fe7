"""The annotation of films: the strip below each frame, and frames side by side.

`Story` keeps what a strip needs of the past of an episode; `annotate` draws one frame with its strip.
"""

from joule.report.film.canvas import Frame
from joule.report.film.sheet import side_by_side
from joule.report.film.story import FilmPanel, Story, fewer
from joule.report.film.strip import annotate, strip_height

__all__ = ["FilmPanel", "Frame", "Story", "annotate", "fewer", "side_by_side", "strip_height"]
