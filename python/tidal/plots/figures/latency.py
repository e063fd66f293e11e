"""Milliseconds per token against cache depth, one line per method and peer."""

from tidal.plots import style
from tidal.plots.bench_rows import decode_series

TITLE = "decode latency against cache depth (tidal bench, scripts/bench-peers)"


def accepts(document):
    return bool(decode_series([document], "ms_median"))


def draw(documents):
    groups = decode_series(documents, "ms_median")
    figure, axes = style.panels(len(groups))
    for ax, (setting, series) in zip(axes, groups.items()):
        for name, points in series.items():
            ax.plot(*zip(*points), marker="o", color=style.color(name))
        style.depth_axis(ax, series)
        ax.set_yscale("log")
        style.plain_log_ticks(ax.yaxis)
        style.label_lines(ax, series)
        ax.set_title(setting)
    axes[0].set_ylabel("time per token (ms)")
    return figure
