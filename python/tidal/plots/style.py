"""What all figures share: size, colours, axes, and names beside lines instead of a legend."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter  # noqa: E402

MUTED = "#767676"
# Okabe and Ito's palette: told apart by colour-blind readers and in print.
_BY_METHOD = {
    "full": "#0072B2",
    "tidal": "#D55E00",
    "paper": "#000000",
    "quest": "#009E73",
    "window": "#CC79A7",
    "oracle": "#56B4E9",
}
_OTHERS = ["#E69F00", "#8C6BB1", "#666666"]

_RC = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.8,
    "lines.linewidth": 2,
    "lines.markersize": 5,
    "savefig.dpi": 160,
    "savefig.bbox": "tight",
    "svg.fonttype": "none",
}


def color(name):
    """The same for a method in every figure; other names get one by their letters."""
    if name in _BY_METHOD:
        return _BY_METHOD[name]
    return _OTHERS[sum(name.encode()) % len(_OTHERS)]


def panels(n, width=6.0, height=4.2, share_y=False):
    """A figure of n panels side by side, and the list of their axes."""
    plt.rcParams.update(_RC)
    figure, axes = plt.subplots(1, n, figsize=(width * n, height), squeeze=False, sharey=share_y,
                                layout="constrained")
    return figure, list(axes[0])


def grid(n_rows, n_columns, width=2.6, height=2.4):
    """A figure of n_rows x n_columns panels with common axes, and their axes by row."""
    plt.rcParams.update(_RC)
    figure, axes = plt.subplots(n_rows, n_columns, figsize=(width * n_columns, height * n_rows),
                                squeeze=False, sharex=True, sharey=True, layout="constrained")
    return figure, axes


def short(n):
    """4096 -> 4K, 102400 -> 100K, 600 -> 600."""
    return f"{n // 1024:g}K" if n >= 1024 and n % 1024 == 0 else f"{n:g}"


def depth_axis(ax, series):
    """Marks the measured depths; logarithmic, and linear below the smallest that is not 0."""
    depths = sorted({x for points in series.values() for x, _ in points})
    positive = [d for d in depths if d > 0]
    if len(positive) > 1 and depths[0] > 0:
        ax.set_xscale("log", base=2)
    elif len(positive) > 1:
        ax.set_xscale("symlog", base=2, linthresh=positive[0], linscale=1)
    ax.xaxis.set_major_locator(FixedLocator(depths))
    ax.xaxis.set_minor_locator(FixedLocator([]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: short(round(x))))
    ax.set_xlabel("cache depth (tokens)")


def plain_log_ticks(axis):
    """1, 2, 3, 5, 10, ... written out."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def label_lines(ax, series, gap_points=12):
    """Writes each line's name right of its last point, pushed apart where they would overlap."""
    ax.figure.canvas.draw()  # limits and scales are final from here on
    to_points = 72 / ax.figure.dpi
    ends = []
    for name, points in series.items():
        x, y = points[-1]
        ends.append([ax.transData.transform((x, y))[1] * to_points, name, (x, y)])
    ends.sort(key=lambda end: end[0])
    previous = None
    for at, name, point in ends:
        place = at if previous is None else max(at, previous + gap_points)
        previous = place
        ax.annotate(name, point, (7, place - at), textcoords="offset points", va="center",
                    color=color(name), fontweight="bold", annotation_clip=False)
