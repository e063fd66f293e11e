"""Perplexity of all tokens so far along a book, one line per --per-token file, named by the file."""

from tidal.plots import style
from tidal.plots.eval_rows import is_per_token, running_perplexity

TITLE = "perplexity along a book (tidal eval ppl --per-token)"


def accepts(document):
    return is_per_token(document)


def draw(documents):
    series = {document["name"]: running_perplexity(document["per_token"])
              for document in documents}
    figure, (ax,) = style.panels(1, width=7.0)
    for name, points in series.items():
        settled = points[len(points) // 40:]  # the first few tokens would set the scale
        ax.plot(*zip(*settled), color=style.color(name))
    ax.set_yscale("log")
    style.plain_log_ticks(ax.yaxis)
    style.label_lines(ax, series)
    ax.set_xlabel("position (tokens)")
    ax.set_ylabel("perplexity so far")
    return figure
