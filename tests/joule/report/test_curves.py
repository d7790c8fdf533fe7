"""Learning curves cover what all seeds cover, and tell agents apart by colour and by line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from result_files import write_evaluations, write_forecasts, write_run, write_tree

from joule.report import curves, forecast_figure, forecasts
from joule.report.evaluations import read_evaluations
from joule.report.plot_style import styles, wrapped
from joule.report.results import gather, read_run


def test_mean_line_covers_only_what_all_seeds_cover(tmp_path: Path) -> None:
    long = write_evaluations(tmp_path / "long.csv", [0.0, 10.0, 20.0])
    short = write_evaluations(tmp_path / "short.csv", [4.0], every=20)
    frames, minutes, returns = curves.on_common_grid([read_evaluations(path) for path in (long, short)])
    np.testing.assert_allclose(frames, [20])
    np.testing.assert_allclose(minutes, [[2.0], [1.0]])
    np.testing.assert_allclose(returns, [[10.0], [4.0]])


def test_agents_differ_in_colour_and_in_line(tmp_path: Path) -> None:
    runs = gather([write_run(tmp_path / "x", [1.0], agent="mine")], [write_tree(tmp_path / "results")])
    looks = styles(runs).values()
    assert len({colour for colour, _ in looks}) == len({str(line) for _, line in looks}) == 4


def test_learning_curve_of_a_single_evaluation_and_of_series_with_gaps(tmp_path: Path) -> None:
    series = {"surprise": ([0.0, 1.0, 2.0], [1.0, float("nan"), 2.0]), "nothing": ([], [])}
    run = read_run(write_run(tmp_path / "x", [1.0]))
    figure = curves.learning_curve(run, tmp_path / "curve.png", series=series)
    assert (tmp_path / "curve.png").stat().st_size > 5_000
    assert [axes.get_title(loc="left") for axes in figure.axes[1:]] == ["surprise"]


def test_a_single_evaluation_is_seen_with_its_deviation_on_an_axis_from_zero(tmp_path: Path) -> None:
    runs = gather([write_run(tmp_path / str(seed), [float(seed)], seed=seed) for seed in (1, 2)])
    runs[0].columns["return_std"][:] = 1.5
    curve = curves.learning_curve(runs[0], series={"loss": ([10.0], [2.0])})
    for axes in (*curve.axes, *curves.compare(runs).axes):
        low, high = axes.get_xlim()
        (point,) = np.asarray(axes.lines[-1].get_xdata(), np.float64)
        assert low == 0.0 < point < high < 1.2 * point
        assert all(tick == round(tick) for tick in axes.get_xticks()) or "CPU" in axes.get_xlabel()
        assert axes.lines[-1].get_marker() == "o"
    (bar,) = curve.axes[0].collections
    assert bar.get_segments()[0].tolist() == [[10.0, -0.5], [10.0, 2.5]]  # type: ignore[attr-defined]
    two = curves.learning_curve(read_run(write_run(tmp_path / "x", [1.0, 2.0])))
    assert two.axes[0].get_xlim()[0] > 0.0


def test_observed_returns_are_drawn_against_predicted_ones(tmp_path: Path) -> None:
    first, second = write_run(tmp_path / "a", [1.0, 2.0]), write_run(tmp_path / "b", [1.0, 3.0], seed=2)
    write_forecasts(first, [*((float(k), k + 1.0) for k in range(30)), (9.0, None)])
    write_forecasts(second, [(1.0, 1.0), (2.0, 3.0)])
    runs = gather([first, second])
    kept = [(run, entries) for run in runs if (entries := forecasts.read(run.source)) is not None]
    (axes,) = forecast_figure.predicted(kept).axes
    assert len(axes.collections[0].get_offsets()) == 32, "all seeds of a task share a panel"  # type: ignore[arg-type]
    figure = curves.learning_curve(runs[0], entries=kept[0][1])
    assert "correlation 1.00" in figure.axes[1].texts[0].get_text()


def test_a_long_label_is_in_lines_of_its_width() -> None:
    label = f"joule ({', '.join(f'learning.a-setting_{k}={k}' for k in range(4))})"
    lines = wrapped(label, 48).split("\n")
    assert lines[0] == "joule"
    assert max(map(len, lines)) <= 48
    assert " ".join(lines) == label
    assert wrapped("joule (a=1)", 48) == "joule (a=1)"
