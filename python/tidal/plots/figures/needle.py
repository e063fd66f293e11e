"""Right answers by depth and length, a panel per method and budget."""

from tidal.plots import style
from tidal.plots.eval_rows import is_needle, label

TITLE = "needle heat map, depth by length (tidal eval needle)"


def accepts(document):
    return is_needle(document)


def _panels(documents):
    """{label: {budget: {(depth, length): share of right answers}}}"""
    panels = {}
    for document in documents:
        for cell in document["cells"]:
            budget = "" if cell["budget"] is None else str(cell["budget"])
            scores = panels.setdefault(label(cell), {}).setdefault(budget, {})
            n, right = scores.get((cell["depth"], cell["length"]), (0, 0.0))
            scores[cell["depth"], cell["length"]] = (n + cell["n"], right + cell["n"] * cell["score"])
    return panels


def draw(documents):
    panels = _panels(documents)
    every = [scores for budgets in panels.values() for scores in budgets.values()]
    depths = sorted({depth for scores in every for depth, _ in scores})
    lengths = sorted({length for scores in every for _, length in scores})
    figure, axes = style.grid(len(panels), max(len(budgets) for budgets in panels.values()))
    for row, (name, budgets) in zip(axes, panels.items()):
        for ax in row[len(budgets):]:
            ax.set_visible(False)
        for ax, (budget, scores) in zip(row, budgets.items()):
            image = [[100 * right / n if n else float("nan")
                      for n, right in (scores.get((depth, length), (0, 0)) for length in lengths)]
                     for depth in depths]
            drawn = ax.imshow(image, vmin=0, vmax=100, cmap="RdYlGn", aspect="auto")
            ax.grid(False)
            ax.set_xticks(range(len(lengths)), [style.short(length) for length in lengths])
            ax.set_yticks(range(len(depths)), [f"{100 * depth:.0f} %" for depth in depths])
            ax.set_title(f"{name}, K = {budget}" if budget else name, fontsize="small")
        row[0].set_ylabel("depth")
    for ax in axes[-1]:
        ax.set_xlabel("prompt (tokens)")
    figure.colorbar(drawn, ax=axes, label="right answers (%)", shrink=0.6)
    return figure
