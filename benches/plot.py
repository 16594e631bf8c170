"""Pictures of results, on logarithmic scales: how many times as long as roomcast each peer takes, and how something grows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from results import OURS, Group
from timing import Spread

__all__ = ["plot", "plot_growth"]

_STYLE: Final[Any] = {  # Matplotlib wants a dict of literal keys
    # The same results give the same file: no random ids, and text that stays text, which also keeps it small.
    "svg.hashsalt": "roomcast",
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.axisbelow": True,
    "axes.edgecolor": "#888",
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_MARKS: Final = (
    ("#2a9d5c", "D"),
    ("#c0392b", "o"),
    ("#e08e3c", "s"),
    ("#3567b0", "^"),
    ("#8a5cb8", "v"),
    ("#666666", "P"),
)


def plot(
    path: Path, panels: dict[str, dict[str, Group]], peers: Sequence[str], labels: dict[str, str]
) -> None:
    """Write an SVG with a panel for each entry, a line for each group, a mark for each peer.

    Args:
        path: Where to.
        panels: By title, the groups by the label of their line.
        peers: Whom to show beside roomcast, at most six; those missing from a group are skipped.
        labels: What the legend calls a peer, where it is not its name.
    """
    with mpl.rc_context(_STYLE):
        height = 1.3 + 0.34 * max(len(groups) for groups in panels.values())
        figure, axes = plt.subplots(
            1, len(panels), figsize=(9.6, height), sharey=True, squeeze=False
        )
        for axis, (title, groups) in zip(axes[0], panels.items(), strict=True):
            axis.set_xscale("log")
            axis.axvline(1, color="#111", linewidth=1.5, label=OURS)
            for peer, (color, marker) in zip(peers, _MARKS, strict=False):
                lines = [
                    line for line, group in enumerate(groups.values()) if peer in group.samples
                ]
                spreads = [list(groups.values())[line].times(peer) for line in lines]
                low, middle, high = zip(*spreads, strict=True) if spreads else ((), (), ())
                axis.hlines(lines, low, high, color=color, linewidth=3, alpha=0.4)
                label = labels.get(peer, peer)
                axis.scatter(middle, lines, s=36, color=color, marker=marker, label=label, zorder=3)
            axis.set_yticks(range(len(groups)), list(groups))
            axis.set_ylim(len(groups) - 0.5, -0.5)
            axis.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
            axis.xaxis.set_minor_locator(NullLocator())
            axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
            axis.grid(axis="x", which="major", color="#ddd")
            axis.grid(axis="y", color="#eee")
            axis.tick_params(axis="y", length=0)
            axis.set_title(title, loc="left", fontweight="bold")
            axis.set_xlabel("time of roomcast = 1x; further right is slower")
        _finish(figure, path)


def plot_growth(
    path: Path, panels: Mapping[str, Mapping[str, Mapping[int, Spread]]], unit: str
) -> None:
    """Write an SVG with a panel for each entry, and a line for each contender.

    Args:
        path: Where to.
        panels: By the words of the horizontal axis, by contender, at each number the quartiles; at most seven contenders, the
            first of which is roomcast.
        unit: Of the quartiles.
    """
    with mpl.rc_context(_STYLE):
        figure, axes = plt.subplots(1, len(panels), figsize=(9.6, 4), sharey=True, squeeze=False)
        for axis, (title, lines) in zip(axes[0], panels.items(), strict=True):
            axis.set_xscale("log")
            axis.set_yscale("log")
            for (name, points), (color, marker) in zip(
                lines.items(), (("#111", "D"), *_MARKS[1:]), strict=False
            ):
                low, middle, high = zip(*points.values(), strict=True)
                axis.fill_between(list(points), low, high, color=color, alpha=0.15, linewidth=0)
                axis.plot(
                    list(points), middle, color=color, marker=marker, markersize=5, label=name
                )
            numbers = list(next(iter(lines.values())))
            axis.xaxis.set_major_locator(FixedLocator(numbers))
            axis.xaxis.set_minor_locator(NullLocator())
            axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
            axis.yaxis.set_minor_locator(NullLocator())
            axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.grid(color="#ddd")
            axis.set_xlabel(title)
        axes[0][0].set_ylabel(unit)
        _finish(figure, path)


def _finish(figure: Figure, path: Path) -> None:
    """Put the legend above the panels, and write the file."""
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="upper center", ncols=len(names), frameon=False, fontsize=8)
    figure.tight_layout(rect=(0, 0, 1, 0.94))
    figure.savefig(path, format="svg", facecolor="white", metadata={"Date": None})
    plt.close(figure)
