"""Videos: what is written, and errors as one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import envs
from envs.rendering.video import write_mp4


def test_odd_frames_are_cut_and_no_frame_gives_no_file(tmp_path: Path) -> None:
    import imageio.v2 as imageio

    odd = np.full((101, 75, 3), 200, np.uint8)
    path = tmp_path / "a film — ü: 50 %d.mp4"
    assert write_mp4(path, [odd, odd, np.zeros((40, 60, 3), np.uint8)], fps=10)
    frames = imageio.mimread(path)
    assert [frame.shape for frame in frames] == [(100, 74, 3)] * 3
    assert frames[0].mean() > 190
    assert not write_mp4(tmp_path / "none.mp4", [], fps=10)
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_is_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert write_mp4("tcp:film.mp4", [np.zeros((64, 64, 3), np.uint8)], fps=10)
    assert (tmp_path / "tcp:film.mp4").stat().st_size > 0


def test_a_missing_ffmpeg_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "no-ffmpeg"))
    with pytest.raises(envs.RenderError, match="no video was made"):
        write_mp4(tmp_path / "film.mp4", [np.zeros((64, 64, 3), np.uint8)], fps=10)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["film", "film.gif"])
def test_a_file_of_another_kind_is_one_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(envs.RenderError, match=r"give its file a name that ends in \.mp4"):
        write_mp4(tmp_path / name, [np.zeros((64, 64, 3), np.uint8)], fps=10)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fps", [-3.0, 0.0, np.nan, np.inf])
def test_a_rate_that_is_none_is_one_sentence(tmp_path: Path, fps: float) -> None:
    with pytest.raises(envs.RenderError, match="a positive number of frames per second, not"):
        write_mp4(tmp_path / "film.mp4", [np.zeros((64, 64, 3), np.uint8)], fps)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("frame", "words"),
    [(np.zeros((1, 64, 3), np.uint8), "too small"), (np.zeros((64, 64, 3)), "must be uint8")],
)
def test_frames_that_cannot_be_written_are_refused(tmp_path: Path, frame: np.ndarray, words: str) -> None:
    with pytest.raises(envs.RenderError, match=words):
        write_mp4(tmp_path / "film.mp4", [frame], fps=10)


def test_a_file_that_the_disk_has_cut_off_is_no_video(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    resource = pytest.importorskip("resource")
    frames = np.random.default_rng(1).integers(0, 256, (20, 32, 32, 3), np.uint8)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, limits[1]))  # of the encoder, too
    try:
        with pytest.raises(envs.RenderError, match="its file is not complete; is the disk full") as lost:
            write_mp4(tmp_path / "film.mp4", frames, 10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert 0 < (tmp_path / "film.mp4").stat().st_size <= 4_000
    assert lost.value.exit_code == 1  # nothing that was asked for is wrong
    assert capfd.readouterr().err == ""
