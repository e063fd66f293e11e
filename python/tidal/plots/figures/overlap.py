"""Which of a layer's top rows another layer picks too, as a matrix of layers."""

from tidal.plots import style
from tidal.plots.eval_rows import is_recall

TITLE = "overlap of layers' top rows (tidal eval recall)"
_SCOPES = {"q": "per query head", "kv": "per KV head", "all": "one set for all heads"}


def accepts(document):
    return is_recall(document)


def draw(documents):
    shown = [(document, scope) for document in documents for scope in ("q", "all")
             if scope in document["overlap"]]
    figure, axes = style.panels(len(shown), width=5.2, height=4.6)
    for ax, (document, scope) in zip(axes, shown):
        matrix = [[float("nan") if value is None or i == j else 100 * value
                   for j, value in enumerate(row)]
                  for i, row in enumerate(document["overlap"][scope])]
        drawn = ax.imshow(matrix, vmin=0, vmax=100, cmap="viridis")
        ax.grid(False)
        ax.set_xlabel("layer that reads")
        ax.set_ylabel("layer that picks")
        ax.set_title(f"{_SCOPES[scope]}: neighbours {100 * document['neighbour_overlap'][scope]:.0f} %"
                     f"\ntop {document['budget']} of {document['context']}")
        figure.colorbar(drawn, ax=ax, label="overlap (%)", shrink=0.8)
    return figure
