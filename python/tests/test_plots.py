"""tidal.plots: which figures a result gives, and what stands in them."""

import contextlib
import io
import json
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from tidal.plots import eval_rows  # noqa: E402
from tidal.plots.bench_rows import decode_series  # noqa: E402

try:
    from tidal.plots import style
    from tidal.plots.__main__ import main
    from tidal.plots.figures import FIGURES
except ImportError:
    FIGURES = None


def row(method, depth, ms, full_ms=None, test=None):
    return {"model": "m", "quant": "Q4_0", "kv": "f16", "method": method,
            "test": test or f"tg16 @ d{depth}", "ms_median": ms,
            "speedup_vs_full": full_ms / ms if full_ms else None}


BENCH = {"machine": {}, "bandwidth_gb_s": 50.0, "rows": [
    row("full", 0, 200, test="pp512"),
    row("full", 4096, 8.0, 8.0), row("full", 256, 4.0, 4.0),
    row("tidal", 256, 4.0, 4.0), row("tidal", 4096, 5.0, 8.0),
    row("tidal", 4096, 20.0, test="tg16 @ d4096 x8"), row("llama.cpp", 256, 7.0)]}




def divergence(method, share, mean, plan_from=""):
    return {"model": "m", "method": method, "plan": "p", "plan_from": plan_from,
            "kld": {"mean": mean}, "rows": {"read": 1, "total": 1, "share": share}}


def cell(method, length, depth, budget, score, n=2):
    return {"method": method, "plan": f"budget:{budget}", "plan_from": "", "budget": budget,
            "length": length, "depth": depth, "score": score, "n": n,
            "rows": {"read": 25, "total": 100, "share": 0.25}}


NEEDLE = {"model": "m", "kind": "passkey", "cells": [
    cell("full", 2048, 0, None, 1.0), cell("full", 2048, 1, None, 0.5),
    cell("tidal", 2048, 0, 64, 1.0, n=3), cell("tidal", 2048, 1, 64, 0.0, n=1),
    cell("tidal", 2048, 0, 32, 0.0)]}
KLD = [divergence("full", 1.0, 0.0), divergence("tidal", 0.2, 0.02), divergence("tidal", 0.1, 0.1),
       divergence("tidal", 0.2, 0.2, "paper")]
RECALL = {"model": "m", "context": 64, "budget": 8, "neighbour_overlap": {"q": 0.4, "all": 0.6},
          "overlap": {"q": [[1, 0.4], [None, 1]], "all": [[1, 0.6], [None, 1]]}}


class EvalRows(unittest.TestCase):
    def test_labels(self):
        for method, given, name in (("tidal", "", "tidal"), ("tidal", "tidal", "tidal"),
                                    ("tidal", "paper", "paper"), ("quest", "", "quest"),
                                    ("tidal", "full:0-1 select:2,8 own:on", "tidal 2,8"),
                                    ("oracle", "scope:all pool:softmax", "oracle scope:all"),
                                    ("tidal", "a/b.json", "tidal b.json")):
            self.assertEqual(eval_rows.label({"method": method, "plan_from": given}), name)

    def test_scores_are_weighted_by_prompts(self):
        cells = eval_rows.mean_scores([NEEDLE])[2048]
        got = {(c["method"], c["budget"]): c["score"] for c in cells}
        self.assertEqual(got, {("full", None): 0.75, ("tidal", 64): 0.75, ("tidal", 32): 0.0})
        self.assertEqual(cells[0]["share"], 0.25)

    def test_running_perplexity(self):
        points = eval_rows.running_perplexity([{"pos": 5, "logprob": 0.0},
                                               {"pos": 6, "logprob": -2.0}])
        self.assertEqual(points[0], (5, 1.0))
        self.assertAlmostEqual(points[1][1], 2.718281828, 6)


class Rows(unittest.TestCase):
    def test_series_hold_single_decodes_by_depth(self):
        self.assertEqual(decode_series([BENCH], "ms_median"), {"m Q4_0, f16 cache": {
            "full": [(256, 4.0), (4096, 8.0)], "tidal": [(256, 4.0), (4096, 5.0)],
            "llama.cpp": [(256, 7.0)]}})
        self.assertNotIn("llama.cpp",
                         decode_series([BENCH], "speedup_vs_full")["m Q4_0, f16 cache"])
        self.assertEqual(decode_series([{"rows": {"read": 1}}, {}], "ms_median"), {})


@unittest.skipIf(FIGURES is None, "needs matplotlib")
class Figures(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_main(self, document, *words):
        path = self.folder / "in.json"
        path.write_text(json.dumps(document))
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            main([str(path), "-o", str(self.folder / "out"), *words])
        return [pathlib.Path(line).name for line in out.getvalue().splitlines()]

    def test_bench_gives_latency_and_speedup(self):
        self.assertEqual(self.run_main(BENCH), ["latency.png", "speedup.png"])
        self.assertTrue((self.folder / "out" / "latency.png").read_bytes().startswith(b"\x89PNG"))
        self.assertEqual(self.run_main(BENCH, "--figure", "speedup", "--format", "svg"),
                         ["speedup.svg"])
        self.assertIn("cache depth", (self.folder / "out" / "speedup.svg").read_text())

    def test_lines_show_the_numbers(self):
        ax = FIGURES["latency"].draw([BENCH]).axes[0]
        lines = {tuple(line.get_ydata()) for line in ax.get_lines()}
        self.assertEqual(lines, {(4.0, 8.0), (4.0, 5.0), (7.0,)})
        self.assertEqual({text.get_text() for text in ax.texts}, {"full", "tidal", "llama.cpp"})
        self.assertIn("ms", ax.get_ylabel())

    def test_labels_do_not_overlap(self):
        close = {"rows": [row(name, d, 5 + i / 1000) for i, name in enumerate("abcd")
                          for d in (256, 4096)]}
        ax = FIGURES["latency"].draw([close]).axes[0]
        ax.figure.canvas.draw()
        boxes = sorted((text.get_window_extent() for text in ax.texts), key=lambda box: box.y0)
        for low, high in zip(boxes, boxes[1:]):
            self.assertLessEqual(low.y0 + 0.6 * low.height, high.y0)

    def test_depth_zero_is_shown(self):
        document = {"rows": [row("full", d, 5.0 + d) for d in (0, 64, 4096)]}
        ax = FIGURES["latency"].draw([document]).axes[0]
        ax.figure.canvas.draw()
        self.assertEqual([t.get_text() for t in ax.get_xticklabels()], ["0", "64", "4K"])

    def write(self, name, lines):
        path = self.folder / name
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return str(path)

    def test_evaluations(self):
        scores = [{"pos": p, "id": 1, "logprob": -1.0 - p / 10} for p in range(9)]
        files = [self.write("kld.jsonl", KLD), self.write("n.json", [NEEDLE]),
                 self.write("r.json", [RECALL]), self.write("full.jsonl", scores)]
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            main([*files, "-o", str(self.folder)])
        self.assertEqual({pathlib.Path(line).stem for line in out.getvalue().splitlines()},
                         {"divergence", "accuracy", "needle", "overlap", "book"})

    def test_evaluations_show_the_numbers(self):
        ax = FIGURES["divergence"].draw(KLD).axes[0]
        self.assertEqual({tuple(line.get_ydata()) for line in ax.get_lines()},
                         {(0.1, 0.02), (0.2,)})
        self.assertEqual((ax.get_yscale(), {t.get_text() for t in ax.texts}),
                         ("log", {"tidal", "paper"}))
        ax = FIGURES["accuracy"].draw([NEEDLE]).axes[0]
        self.assertIn((0.0, 75.0), [tuple(line.get_ydata()) for line in ax.get_lines()])
        images = [ax.get_images()[0].get_array() for ax in FIGURES["needle"].draw([NEEDLE]).axes
                  if ax.get_images() and ax.get_title()]
        self.assertEqual(images[0].tolist(), [[100.0], [50.0]])
        image = FIGURES["overlap"].draw([RECALL]).axes[0].get_images()[0].get_array()
        self.assertEqual(image[0, 1], 40.0)

    def test_what_cannot_be_drawn_is_an_error(self):
        for text in ("[1]", "{", '{"rows": []}'):
            path = self.folder / "bad.json"
            path.write_text(text)
            with self.assertRaises(SystemExit) as caught:
                main([str(path)])
            self.assertIn("error:", str(caught.exception.code))

    def test_a_method_keeps_its_colour(self):
        self.assertEqual(style.color("tidal"), style.color("tidal"))
        self.assertNotEqual(style.color("tidal"), style.color("full"))


if __name__ == "__main__":
    unittest.main()
