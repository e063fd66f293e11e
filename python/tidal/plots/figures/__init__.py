"""The figures, one module each. A module has

    TITLE                 one line for --help
    accepts(document)     whether a result (the parsed JSON) has what the figure shows
    draw(documents)       all accepted results at once -> matplotlib.figure.Figure

and its name is the figure's. This is the only list of them."""

from . import accuracy, book, divergence, latency, needle, overlap, speedup

FIGURES = {module.__name__.rpartition(".")[2]: module
           for module in (latency, speedup, divergence, accuracy, needle, overlap, book)}
