"""Divergence from full attention against the share of cache rows read, one line per method and plan."""

from tidal.plots import style
from tidal.plots.eval_rows import by_label, is_divergence

TITLE = "KL divergence from full attention against rows read (tidal eval kld)"


def _measured(documents):
    """Full attention diverges by nothing, which a logarithmic axis has no place for."""
    return [d for d in documents if is_divergence(d) and d["kld"]["mean"] > 0]


def accepts(document):
    return bool(_measured([document]))


def draw(documents):
    series = by_label(_measured(documents), lambda row: 100 * row["rows"]["share"],
                      lambda row: row["kld"]["mean"])
    figure, (ax,) = style.panels(1, width=7.0)
    for name, points in series.items():
        ax.plot(*zip(*points), marker="o", color=style.color(name))
    ax.set_xscale("log")
    ax.set_yscale("log")
    style.plain_log_ticks(ax.xaxis)
    style.plain_log_ticks(ax.yaxis)
    style.label_lines(ax, series)
    ax.set_xlabel("cache rows read (% of full attention's)")
    ax.set_ylabel("mean KL divergence (nats)")
    ax.set_title(documents[0]["model"])
    return figure
