"""Right answers against the budget, one line per method and plan, one panel per prompt length."""

from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from tidal.plots import style
from tidal.plots.eval_rows import by_label, is_needle, mean_scores

TITLE = "needle accuracy against the budget (tidal eval needle)"


def accepts(document):
    return is_needle(document) and any(isinstance(c["budget"], int) for c in document["cells"])


def draw(documents):
    lengths = mean_scores(documents)
    figure, axes = style.panels(len(lengths), width=5.0, share_y=True)
    for ax, (length, cells) in zip(axes, lengths.items()):
        sparse = [cell for cell in cells if isinstance(cell["budget"], int)]
        series = by_label(sparse, lambda c: c["budget"], lambda c: 100 * c["score"])
        for full in (cell for cell in cells if cell["method"] == "full"):
            ax.axhline(100 * full["score"], color=style.color("full"), linewidth=1)
        for name, points in series.items():
            ax.plot(*zip(*points), marker="o", color=style.color(name))
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_locator(FixedLocator(sorted({c["budget"] for c in sparse})))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: style.short(round(x))))
        ax.set_ylim(-4, 104)
        style.label_lines(ax, series)
        ax.set_xlabel("budget (rows)")
        ax.set_title(f"{style.short(length)} tokens (line: full attention)")
    axes[0].set_ylabel("right answers (%)")
    return figure
