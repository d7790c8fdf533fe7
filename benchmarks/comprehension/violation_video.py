"""A video of a violation: the real and the edited clip side by side, each above its surprise."""

from __future__ import annotations

from pathlib import Path

from agent.configurator.settings import Config
from benchmarks.comprehension.clip_pairs import BEFORE, LEAD, Pair, edited_frames, real_frames
from benchmarks.comprehension.detector_scores import ALARM
from benchmarks.comprehension.stills import stills
from benchmarks.comprehension.surprise_calibration import ALL_TERMS, CalibratedDetector
from benchmarks.comprehension.violations import MEANINGS
from envs.rendering.video import write_mp4
from joule.environment import make_env
from joule.report.film import Story, annotate, side_by_side
from joule.storage.files import replacing

WIDTH, HEIGHT = 480, 360
SPEED = 0.5
"""Of the video, relative to the simulated time."""
ALARM_LEVEL = 2.0
"""Where an alarm is on the scale of surprise in a film's strip."""
STILL_STEPS = (-4, 1, 3, 6, 12)
"""Steps since the violation of which there is a still; step 1 is that of its first observation."""


def write_video(config: Config, kind: str, pair: Pair, detector: CalibratedDetector, folder: Path) -> Path:
    """Writes a pair as an mp4, and stills of it as a PNG.

    Args:
        config: of the agent; its environment is shown.
        kind: kind of violation.
        pair: the pair.
        detector: gives the surprise.
        folder: where to; it is made where it is missing.

    Returns:
        The path of the video.
    """
    env_id, env = config.env, make_env(config, render_mode="rgb_array", width=WIDTH, height=HEIGHT)
    edited_pictures = edited_frames(env, pair, kind)
    real_pictures = real_frames(env, pair.episode, pair.at)
    env.close()
    clips = (pair.real, pair.edited)
    surprises = [detector.surprise(clip)[ALL_TERMS][LEAD:] for clip in clips]
    seconds = env.env_spec.seconds_per_decision or 1 / 30
    stories = [Story(env_id, name, seconds, surprise=True) for name in ("untouched", kind)]
    frames = []
    for index, pictures in enumerate(zip(real_pictures, edited_pictures, strict=False)):
        both = []
        for story, picture, surprise, clip in zip(stories, pictures, surprises, clips, strict=True):
            reward = -float(clip.cost[LEAD + index])
            level = ALARM_LEVEL * float(surprise[index]) / ALARM
            both.append(annotate(picture, panel=story.tell(reward, surprise=level)))
        frames.append(side_by_side(both, ["what is possible", MEANINGS[kind]]))
    name = f"{env_id.replace('/', '-')}-{kind}"
    path = folder / f"{name}.mp4"
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        write_mp4(temporary, frames, SPEED / seconds)
    steps = [step for step in STILL_STEPS if BEFORE + step - 1 < len(edited_pictures)]
    stills(
        folder / f"{name}.png", [edited_pictures[BEFORE + step - 1] for step in steps], steps,
        *(surprise[BEFORE + steps[0] :] for surprise in surprises), alarm=ALARM, title=MEANINGS[kind].split(":")[0],
    )  # fmt: skip
    return path
