"""tidal eval kld, needle and recall."""

import json
import unittest

from support import LAYERS, METHODS, MODEL, Case, Running

TEXT = "".join(f"The {i}th wave came in and the {i * 7}th went out. " for i in range(20))
PLAN = "full:0 select:1 budget:32 scope:all"


class Eval(Case):
    def setUp(self):
        super().setUp()
        self.text = self.write("text.txt", TEXT)

    def lines(self, *words):
        out = self.good(*words, "--json").out
        return [json.loads(line) for line in out.splitlines()]


class Divergence(Eval):
    def setUp(self):
        super().setUp()
        self.kld = self.words()

    def words(self, name="kld", text=("-f", None), prefill=200, tokens=300):
        return ("eval", name, "-m", MODEL, text[0], text[1] or self.text, "--prefill", prefill,
                "--max-tokens", tokens, "--min-context", "0")

    def test_one_method_is_one_object(self):
        got = self.good_json(*self.kld, "--plan", PLAN)
        self.assertEqual(got["tokens"], 100)
        self.assertEqual(set(got["kld"]), {"mean", "stderr", "p50", "p90", "p99", "p999", "max"})
        kld = got["kld"]
        self.assertLess(0, kld["p50"])
        self.assertTrue(kld["p50"] <= kld["p90"] <= kld["p99"] <= kld["p999"] <= kld["max"])
        self.assertLess(kld["mean"], kld["max"])
        self.assertTrue(0 <= got["same_top"] <= 1)
        self.assertEqual(got["method"], "tidal")
        self.assertIn("budget:32", got["plan"])
        self.check_rows(got["rows"])
        self.assertLess(got["rows"]["share"], 0.9)
        self.assertRegex(got["model_sum"], r"\A[0-9a-f]{16}\Z")
        for method, key in (("full", "ppl_full"), ("tidal", "ppl")):
            alone = self.good_json(*self.words("ppl"), "--method", method,
                                   *(("--plan", PLAN) if method == "tidal" else ()))
            self.assertAlmostEqual(alone["ppl"], got[key], 6)
        self.assertEqual(alone["rows"], got["rows"])

    def test_many_methods_give_what_each_gives_alone(self):
        rows = self.lines(*self.kld, "--methods", ",".join(METHODS), "--budgets", "32,2000,10%",
                          "--plan", PLAN, "--plan", "paper", "--plan", "quest=full:0",
                          "--plan", "oracle=scope:all")
        self.assertEqual(len([r for r in rows if r["method"] == "full"]), 1)
        self.assertEqual(len(rows), 1 + 3 * (2 + 1 + 1 + 1))
        for row in rows:
            if row["method"] == "full" or row["budget"] == 2000:
                self.assertEqual((row["kld"]["max"], row["same_top"], row["rows"]["share"]),
                                 (0, 1, 1), row)
            else:
                self.assertGreater(row["kld"]["mean"], 0)
        one = self.good_json(*self.kld, "--method", "tidal", "--plan", PLAN, "--budget", "32")
        self.assertIn(one, rows)
        self.assertIn("full:0 ", [r["plan"] for r in rows if r["method"] == "quest"][0])
        table = self.good(*self.kld, "--methods", "full,tidal").out
        self.assertEqual(table.count("\n"), 4)

    def test_several_books_and_places(self):
        other = self.write("other.txt", TEXT[::-1])
        both = self.good_json(*self.kld, "-f", other)
        self.assertEqual(both["tokens"], 200)
        self.assertEqual([f["file"] for f in both["files"]], [str(self.text), str(other)])
        alone = [self.good_json(*self.kld)["kld"]["mean"],
                 self.good_json(*self.words(text=("-f", other)))["kld"]["mean"]]
        self.assertAlmostEqual(both["kld"]["mean"], sum(alone) / 2, 12)
        self.assertEqual([f["kld"] for f in both["files"]], alone)
        later = self.good_json(*self.kld, "--skip", "50")
        ids = self.good_json("tokenize", MODEL, stdin=TEXT)["tokens"]
        tokens = self.write("ids.json", json.dumps(ids[50:350]))
        self.assertEqual(later["kld"], self.good_json(
            *self.words(text=("--tokens", tokens)))["kld"])

    def test_goes_on_from_its_file(self):
        log = self.folder / "log.jsonl"
        words = (*self.kld, "-o", log, "--methods", "full,tidal,window")
        first = self.lines(*words)
        written = log.read_bytes()
        self.assertEqual(written.count(b"\n"), 1 + 3)
        self.assertEqual(self.lines(*words), first)
        self.assertEqual(log.read_bytes(), written)
        # A line cut off, and one missing: only those are measured again.
        log.write_bytes(written[:-20])
        self.assertEqual(self.lines(*words), first)
        self.assertEqual(log.read_bytes(), written)
        more = self.lines(*self.kld, "-o", log, "--methods", "window,quest")
        self.assertEqual(more[0], first[2])
        self.assertEqual(log.read_bytes().count(b"\n"), 1 + 4)
        self.fails(*self.words(prefill=150), "-o", log, says=["log.jsonl", "prefill 200", "150", "-o"])
        self.fails(*self.kld, "-o", self.text, says=["text.txt", "not a file of results"])
        self.fails(*self.kld, "-o", self.folder / "no" / "x", says=["No such file"])

    def test_interrupted(self):
        long = self.write("long.txt", TEXT * 40)
        with Running("eval", "kld", "-m", MODEL, "-f", long, "--prefill", "100", "-c", "100000",
                     "--min-context", "0", "--json") as run:
            run.interrupt()
            result = run.end()
        self.assertEqual(result.status, 130, result)
        self.assertIs(result.json()["complete"], False)

    def test_bad_input(self):
        self.fails(*self.words(tokens=100000), says=[str(len(TEXT)), "--max-tokens"])
        self.fails(*self.kld, "--skip", "900", says=["after --skip 900", "--max-tokens"])
        self.fails(*self.words(prefill=300), says=["nothing is left to score"])
        self.misused(*self.kld, "--budgets", "32,0", says=["'0'"])
        self.misused(*self.kld, "--methods", "tidal,vibes", says=["vibes"])
        self.misused("eval", "kld", "-m", MODEL, says=["-f FILE"])
        self.fails(*self.kld, "--budgets", "3", says=["budget"])
        plan = self.write("p.json", json.dumps({
            "tidal_plan": 1, "model": {"layers": LAYERS + 1, "heads": 4, "kv_heads": 2},
            "plan": "full:0 select:1"}))
        self.fails(*self.kld, "--plan", plan, says=["p.json", str(LAYERS + 1)])
        self.fails(*self.kld, "--plan", "full:0 select:2", says=["layer 1"])


class Needle(Eval):
    NEEDLE = ("eval", "needle", "-m", MODEL, "--lengths", "300,500", "--depths", "2",
              "--min-context", "0")

    def test_every_cell(self):
        got = self.good_json(*self.NEEDLE, "--budgets", "32,64", "--prompts", "2",
                             "--plan", PLAN, "--plan", "paper")
        cells = got["cells"]
        self.assertEqual(len(cells), 2 * 2 * (1 + 2 * (2 + 1 + 1 + 1)))
        for cell in cells:
            self.assertIn(cell["length"], (300, 500))
            self.assertIn(cell["depth"], (0, 1))
            self.assertEqual(cell["n"], 2)
            self.assertTrue(0 <= cell["score"] <= 1)
            self.check_rows(cell["rows"])
            self.assertEqual(cell["rows"]["share"] == 1, cell["method"] == "full", cell)
        self.assertEqual({c["method"] for c in cells}, set(METHODS))
        self.assertEqual((got["seed"], got["kind"], got["complete"]), (1, "passkey", True))
        self.assertEqual(got, self.good_json(*self.NEEDLE, "--budgets", "32,64", "--prompts", "2",
                                             "--plan", PLAN, "--plan", "paper"))

    def test_table(self):
        for kind in ("passkey", "pairs", "multi"):
            out = self.good("eval", "needle", "-m", MODEL, "--lengths", "600", "--depths", "1",
                            "--min-context", "0", "--kind", kind, "--methods", "full,tidal",
                            "--budgets", "32,64").out
            self.assertIn("600 tokens, 1 prompts", out)
            self.assertRegex(out, r"\| method +\| +K 32 \| +K 64 \|")
            self.assertRegex(out, r"\| full +\| +\d+ \(100\.0\) \|")
            self.assertRegex(out, r"\| tidal +\| +\d+ \([\d.]+\) \| +\d+ \([\d.]+\) \|")

    def test_goes_on_from_its_file(self):
        log = self.folder / "log.jsonl"
        words = (*self.NEEDLE, "--budgets", "32", "--methods", "full,tidal", "-o", log)
        first = self.good_json(*words)
        written = log.read_bytes()
        self.assertEqual(written.count(b"\n"), 1 + 2 * 2 * 2)
        lines = written.splitlines(keepends=True)
        log.write_bytes(b"".join(lines[:4]))
        self.assertEqual(self.good_json(*words), first)
        self.assertEqual(sorted(log.read_bytes().splitlines()), sorted(written.splitlines()))
        more = self.good_json(*words, "--prompts", "2")
        self.assertEqual(log.read_bytes().count(b"\n"), 1 + 2 * 2 * 2 * 2)
        self.assertEqual([c["n"] for c in more["cells"]], [2] * 8)
        self.fails(*words, "--seed", "2", says=["log.jsonl", "seed 1", "2"])

    def test_interrupted(self):
        with Running(*self.NEEDLE, "--prompts", "10000", "--json") as run:
            run.interrupt()
            result = run.end()
        self.assertEqual(result.status, 130, result)
        self.assertIs(result.json()["complete"], False)

    def test_bad_input(self):
        needle = ("eval", "needle", "-m", MODEL)
        self.fails(*needle, "--lengths", "50", says=["a prompt of 50 tokens", "--lengths"])
        self.fails(*needle, "--lengths", "500", "-c", "400", says=["500", "400", "--ctx-size"])
        self.fails(*needle, "--lengths", "1900", "-f", self.text, says=["the text has", "--lengths"])
        self.misused(*needle, "--kind", "vibes", says=["vibes"])
        self.misused(*needle, "--budgets", "0", says=["'0'"])


class Recall(Eval):
    def test_matrices(self):
        words = ("eval", "recall", "-m", MODEL, "-f", self.text, "--context", "400", "--budget",
                 "40", "--samples", "10", "--plan", PLAN, "--plan", "paper")
        got = self.good_json(*words)
        self.assertEqual((got["samples"], got["complete"]), (10, True))
        for kind in ("overlap", "mass"):
            self.assertEqual(set(got[kind]), {"q", "kv", "all"})
            for matrix in got[kind].values():
                for i, row in enumerate(matrix):
                    self.assertEqual([v is None for v in row], [j < i for j in range(LAYERS)])
                    self.assertTrue(all(0 <= v <= 1 for v in row[i:]), row)
        overlap = got["overlap"]["all"]
        self.assertTrue(all(overlap[i][i] == 1 for i in range(LAYERS)))
        self.assertAlmostEqual(got["plans"][0]["recall"], (overlap[1][2] + overlap[1][3]) / 2)
        self.assertLess(got["plans"][0]["recall"], 1)
        self.assertEqual(len(got["cosine"]["attention"]), LAYERS - 1)
        self.assertTrue(all(-1 <= c <= 1 for row in got["cosine"]["output"] for c in row))
        self.assertEqual(got, self.good_json(*words))
        everything = self.good_json(*words[:-8], "--budget", "400", "--samples", "3")
        self.assertEqual(everything["neighbour_overlap"], {"q": 1, "kv": 1, "all": 1})
        out = self.good(*words).out
        for part in ("neighbouring layers", "cosine of neighbours", "plan paper", "scope all"):
            self.assertIn(part, out)

    def test_bad_input(self):
        recall = ("eval", "recall", "-m", MODEL, "-f", self.text)
        self.fails(*recall, "--context", "4000", says=[str(len(TEXT)), "--context asks for 4000"])
        self.fails(*recall, "--context", "400", "-c", "300", says=["400", "300", "--ctx-size"])
        self.misused(*recall, "--budget", "0", says=["'0'"])
        self.fails(*recall, "--context", "400", "--plan", "full:0 select:9", says=["9"])


class BeyondTraining(Eval):
    """The model was made for 2,048 tokens; YaRN with factor 4 stretches it to 8,192."""

    YARN = ("--rope-scaling", "yarn", "--rope-scale", "4")

    def test_every_evaluation_warns_and_yarn_stretches(self):
        text = self.write("long.txt", TEXT * 4)
        length = ("--max-tokens", "2300", "--prefill", "2250")
        methods = ("--methods", "full,tidal", "--budgets", "64")
        for words in (("ppl", "-f", text, *length), ("kld", "-f", text, *length, *methods),
                      ("recall", "-f", text, "--context", "2300", "--samples", "2"),
                      ("needle", "--lengths", "2300", "--depths", "1", *methods)):
            with self.subTest(words[0]):
                command = ("eval", words[0], "-m", MODEL, *words[1:], "--json")
                plain = self.good(*command)
                self.assertIn("more than the 2048", plain.err)
                yarn = self.good(*command, *self.YARN)
                self.assertNotIn("warning", yarn.err)
                self.assertNotEqual(plain.out, yarn.out)
                first = json.loads(yarn.out.splitlines()[0])
                self.assertEqual((first["rope_scaling"], first["rope_scale"]), ("yarn", 4))
                self.assertNotIn("NaN", yarn.out)

    def test_yarn_changes_what_the_model_computes(self):
        text = self.write("long.txt", TEXT * 4)
        words = ("eval", "ppl", "-m", MODEL, "-f", text, "--max-tokens", "2300", "--prefill",
                 "2200", "--method", "full")
        results = [self.good_json(*words, *more)["nll"]
                   for more in ((), self.YARN, (*self.YARN, "--yarn-orig-ctx", "1024"))]
        self.assertEqual(len(set(results)), 3, results)
        self.fails(*words, "--rope-scaling", "yarn", says=["--rope-scale"])


if __name__ == "__main__":
    unittest.main()
