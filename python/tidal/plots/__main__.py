"""python -m tidal.plots: draws JSON results of tidal bench and tidal eval.

Every figure that a result has the numbers for is drawn from all such results together:

    tidal bench -d 256,4096,8192 --json > bench.json
    python -m tidal.plots bench.json -o plots            # plots/latency.png, plots/speedup.png

Files hold one JSON object, or one a line (eval kld, the --per-token files of eval ppl).
"""

import argparse
import json
import pathlib
import sys

from tidal.plots.figures import FIGURES


def parse_arguments(words):
    listing = "\n".join(f"  {name:10} {module.TITLE}" for name, module in FIGURES.items())
    parser = argparse.ArgumentParser(
        prog="python -m tidal.plots", description=__doc__, epilog=f"figures:\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", type=pathlib.Path, help="JSON of bench or eval")
    parser.add_argument("-o", "--output", type=pathlib.Path, default=pathlib.Path("."),
                        help="folder for the figures (default: here)")
    parser.add_argument("--figure", action="append", choices=list(FIGURES),
                        help="draw only this one; may be repeated")
    parser.add_argument("--format", choices=["png", "svg", "pdf"], default="png")
    return parser.parse_args(words)


def read(path):
    """The results in a file; the scores of a --per-token file are one result."""
    try:
        text = path.read_text()
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {path}: {error}")
    try:
        documents = [json.loads(text)]
    except ValueError as error:
        try:
            documents = [json.loads(line) for line in text.splitlines()]
        except ValueError:
            raise SystemExit(f"error: {path}: {error}")
    if not documents or not all(isinstance(document, dict) for document in documents):
        raise SystemExit(f"error: {path} holds no JSON object, give what --json printed")
    if all("logprob" in document for document in documents):
        return [{"name": path.stem, "per_token": documents}]
    return documents


def main(words=None):
    arguments = parse_arguments(words)
    documents = [document for path in arguments.results for document in read(path)]
    drawn = 0
    for name in arguments.figure or FIGURES:
        module = FIGURES[name]
        accepted = [document for document in documents if module.accepts(document)]
        if not accepted:
            continue
        arguments.output.mkdir(parents=True, exist_ok=True)
        path = arguments.output / f"{name}.{arguments.format}"
        module.draw(accepted).savefig(path)
        print(path)
        drawn += 1
    if not drawn:
        raise SystemExit("error: none of the results has what a figure shows, see python -m tidal.plots --help")


if __name__ == "__main__":
    sys.exit(main())
