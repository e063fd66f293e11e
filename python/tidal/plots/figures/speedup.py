"""How many times faster than full attention each method decodes, against cache depth."""

from tidal.plots import style
from tidal.plots.bench_rows import decode_series

TITLE = "speed-up over full attention against cache depth (tidal bench)"


def _series(documents):
    groups = decode_series(documents, "speedup_vs_full")
    for setting, series in groups.items():
        groups[setting] = {name: points for name, points in series.items() if name != "full"}
    return {setting: series for setting, series in groups.items() if series}


def accepts(document):
    return bool(_series([document]))


def draw(documents):
    groups = _series(documents)
    figure, axes = style.panels(len(groups))
    for ax, (setting, series) in zip(axes, groups.items()):
        ax.axhline(1, color=style.MUTED, linewidth=1)
        ax.annotate("full attention", (1, 1), (-2, -4), xycoords=("axes fraction", "data"), ha="right",
                    va="top", textcoords="offset points", color=style.MUTED, fontsize="small")
        for name, points in series.items():
            ax.plot(*zip(*points), marker="o", color=style.color(name))
        style.depth_axis(ax, series)
        ax.set_ylim(bottom=0)
        ax.yaxis.set_major_formatter("{x:g}x")
        style.label_lines(ax, series)
        ax.set_title(setting)
    axes[0].set_ylabel("speed-up over full attention")
    return figure
