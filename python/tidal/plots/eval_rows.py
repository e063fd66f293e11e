"""Results of `tidal eval --json` as series that can be drawn."""

import math
import re


def label(row):
    """A short name for a method and its plan."""
    method, given = row["method"], row.get("plan_from") or ""
    if given in ("", method):
        return method
    if method == "tidal" and given == "paper":
        return "paper"
    select = re.search(r"select:(\S+)", given)
    if select:
        return f"{method} {select[1]}"
    return f"{method} {given.rpartition('/')[2].split(' ')[0]}"


def by_label(rows, x, y):
    """{label: [(x(row), y(row)), ...] by x}, in the rows' order."""
    series = {}
    for row in rows:
        series.setdefault(label(row), []).append((x(row), y(row)))
    for points in series.values():
        points.sort()
    return series


def is_divergence(document):
    return isinstance(document.get("kld"), dict) and "rows" in document


def is_needle(document):
    return bool(document.get("cells")) and "kind" in document


def is_recall(document):
    return isinstance(document.get("overlap"), dict) and "neighbour_overlap" in document


def is_per_token(document):
    return bool(document.get("per_token"))


def mean_scores(documents):
    """{length: [{method, plan, plan_from, budget, score, share}, ...]}: the cells of needle
    documents over all depths, weighted by their prompts."""
    sums = {}
    for document in documents:
        for cell in document["cells"]:
            key = (cell["length"], cell["method"], cell["plan"], cell["plan_from"])
            total = sums.setdefault(key, {**cell, "n": 0, "right": 0, "read": 0, "all": 0})
            total["n"] += cell["n"]
            total["right"] += cell["score"] * cell["n"]
            total["read"] += cell["rows"]["read"]
            total["all"] += cell["rows"]["total"]
    lengths = {}
    for (length, *_), total in sums.items():
        total["score"] = total["right"] / total["n"]
        total["share"] = total["read"] / total["all"] if total["all"] else 1.0
        lengths.setdefault(length, []).append(total)
    return dict(sorted(lengths.items()))


def running_perplexity(scores):
    """[(position, perplexity of all tokens up to it)] of {"pos", "logprob"} lines."""
    total, points = 0.0, []
    for n, score in enumerate(scores, 1):
        total -= score["logprob"]
        points.append((score["pos"], math.exp(total / n)))
    return points
