"""The figure of `adaptation.py`: returns of one episode after the other, before and after the change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.comprehension.adaptation_summary import Row, mean

LEARNING = {"joule adapts": "C0", "sac learns on": "C1"}
"""Methods that are drawn episode by episode -> colour."""
LABELS = {
    "joule adapts": "Joule, adapting",
    "sac learns on": "SAC, learning",
    "joule frozen": "Joule, unadapted",
    "sac frozen": "SAC, unadapted",
    "joule ceiling": "Joule, trained with the change",
    "sac ceiling": "SAC, trained with the change",
    "joule taught": "Joule, trained further with the change",
}
"""Methods -> what the legend calls them, which is what the report calls them."""
LEVELS = {
    "joule frozen": ("C0", ":"),
    "sac frozen": ("C1", ":"),
    "joule ceiling": ("C0", "--"),
    "sac ceiling": ("C1", "--"),
    "joule taught": ("C2", "--"),
}
"""Methods whose mean return after the change is a line -> colour and style."""
PHASES = ("known", "change", "changed", "back")


def draw(rows: list[Row], path: Path) -> None:
    """Writes the figure: a panel for each change, a line of panels for each environment."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels: dict[str, list[str]] = {}
    for env, perturbation in sorted({(row["env"], row["perturbation"]) for row in rows}):
        panels.setdefault(env, []).append(perturbation)
    columns = max(map(len, panels.values()))
    figure, axes = pyplot.subplots(
        len(panels), columns, figsize=(2.6 * columns, 2.6 * len(panels)), squeeze=False, layout="constrained"
    )
    for line, (env, perturbations) in zip(axes, panels.items(), strict=True):
        for ax in line[len(perturbations) :]:
            ax.axis("off")
        for ax, perturbation in zip(line, perturbations, strict=False):
            own = [row for row in rows if (row["env"], row["perturbation"]) == (env, perturbation)]
            _draw_panel(ax, own)
            ax.set_title(f"{env}\n{perturbation}", fontsize=8)
        line[0].set_ylabel("return of an episode", fontsize=8)
    figure.supxlabel("episode (grey: the change begins; the last one: it ends)", fontsize=8)
    handles: dict[str, Any] = {}
    for ax in axes.flat:
        handles |= {label: handle for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(
        [*handles.values()], [*handles], loc="outside upper center", ncols=5, fontsize=8, frameon=False
    )
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def _draw_panel(ax: Any, rows: list[Row]) -> None:
    for method, colour in LEARNING.items():
        own = [row for row in rows if row["method"] == method and row["phase"] in PHASES]
        if own:
            first = 0 if method == "joule adapts" else 1
            episodes = sorted({int(row["episode"]) for row in own})
            means = [mean(row for row in own if int(row["episode"]) == number) for number in episodes]
            ax.plot(range(first, first + len(means)), means, "o-", color=colour, ms=3, label=LABELS[method])
    for method, (colour, style) in LEVELS.items():
        level = mean(row for row in rows if (row["method"], row["phase"]) == (method, "after"))
        if level is not None:
            ax.axhline(level, color=colour, ls=style, lw=1, label=LABELS[method])
    ax.axvline(1, color="0.8", lw=4, zorder=0)
    ax.tick_params(labelsize=7)
    ax.xaxis.get_major_locator().set_params(integer=True)
