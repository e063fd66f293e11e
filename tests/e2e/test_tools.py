"""tidal tokenize, inspect, eval ppl, bench and --help."""

import csv
import io
import json
import math
import unittest

from support import METHODS, MODEL, Case, Running

TEXT = "".join(f"The {i}th wave came in and the {i * 7}th went out. " for i in range(20))


class Tokenize(Case):
    def test_round_trip(self):
        for text in ("Hello world", "", " ", "naïve 世界 🙂\n\ttabs", "a\0b", "x" * 5000):
            with self.subTest(text[:20]):
                ids = self.good("tokenize", MODEL, stdin=text)
                back = self.good("tokenize", MODEL, "--decode", stdin=ids.out_bytes)
                self.assertEqual(back.out_bytes.decode(), text)
                whole = self.good_json("tokenize", MODEL, stdin=text)
                self.assertEqual(whole["tokens"], [int(i) for i in ids.out.split()])
                self.assertEqual(whole["count"], len(whole["tokens"]))
                again = self.good_json("tokenize", MODEL, "--decode",
                                       stdin=json.dumps(whole["tokens"]))
                self.assertEqual(again["text"], text)

    def test_bytes_that_are_no_utf8(self):
        raw = b"a\xff\xfe\xc3z\xed\xa0\x80"
        ids = self.good("tokenize", MODEL, stdin=raw)
        self.assertEqual(
            self.good("tokenize", MODEL, "--decode", stdin=ids.out_bytes).out_bytes, raw)
        text = self.good_json("tokenize", MODEL, "--decode", stdin=ids.out_bytes)["text"]
        self.assertIn("\ufffd", text)

    def test_control_tokens(self):
        self.assertEqual(self.good("tokenize", MODEL, "--special", stdin="<|im_end|>").out, "2\n")
        plain = self.good_json("tokenize", MODEL, stdin="<|im_end|>")
        self.assertEqual(plain["count"], len("<|im_end|>"))

    def test_bad_ids(self):
        for ids in ("5 x", "x\n7", "-3", "1.5", "99999999999999999999"):
            self.fails("tokenize", MODEL, "--decode", stdin=ids, says=["is not a token id"])
        self.fails("tokenize", MODEL, "--decode", stdin="259", says=["259"])


class Inspect(Case):
    def test_json(self):
        got = self.good_json("inspect", MODEL)
        self.assertEqual((got["architecture"], got["layers"], got["heads"], got["kv_heads"]),
                         ("llama", 4, 4, 2))
        self.assertEqual(got["tensor_types"]["Q8_0"]["count"], 30)
        self.assertEqual(got["tokenizer"]["vocab_size"], 259)
        self.assertIs(got["chat_template"], True)
        self.assertEqual(got["cache_bytes_per_token"], 4 * 2 * 16 * 2 * 2)  # K and V in f16
        self.assertGreater(len(got["memory"]), 2)
        for row in got["memory"]:
            self.assertEqual(row["cache_bytes"], row["context"] * got["cache_bytes_per_token"])
            self.assertEqual(row["total_bytes"], row["cache_bytes"] + got["weight_memory_bytes"])
        self.assertGreater(got["reordered_bytes"], 0)
        self.assertGreaterEqual(got["weight_memory_bytes"], got["weight_bytes"])
        in_rows = self.good_json("inspect", MODEL, "--backend", "reference")
        self.assertEqual(in_rows["reordered_bytes"], 0)
        self.assertEqual(in_rows["weight_memory_bytes"], got["weight_bytes"])
        self.assertEqual(got["method"], "tidal")
        self.assertIn("select:", got["plan"])
        wide = self.good_json("inspect", "-m", MODEL, "-ctk", "f32", "-c", "777")
        self.assertEqual(wide["cache_bytes_per_token"], 4 * 2 * 16 * (4 + 2))
        self.assertIn(777, [row["context"] for row in wide["memory"]])

    def test_text(self):
        text = self.good("inspect", MODEL).out
        for part in ("tiny-llama (llama)", "259 tokens", "512 bytes per token", "Q8_0",
                     "chat template    yes", "full:0-1 select:"):
            self.assertIn(part, text)
        self.assertNotIn("tokenizer.ggml.model", text)
        with_metadata = self.good("inspect", MODEL, "--metadata").out
        self.assertRegex(with_metadata, r"llama\.block_count +uint32 +4")
        self.assertLess(max(map(len, with_metadata.splitlines())), 200)

    def test_plan_beside_the_model(self):
        path = self.write("m.gguf", MODEL.read_bytes())
        self.write("m.plan.json", "no plan")
        self.fails("inspect", path, says=["m.plan.json"])
        self.fails("generate", "-m", path, "-p", "a", says=["m.plan.json"])
        self.good("generate", "-m", path, "-p", "a", "-n", "2", "--method", "full")


class Perplexity(Case):
    def setUp(self):
        super().setUp()
        self.text = self.write("text.txt", TEXT)
        self.ppl = ("eval", "ppl", "-m", MODEL, "-f", self.text)

    def test_numbers_agree(self):
        path = self.folder / "scores.jsonl"
        got = self.good_json(*self.ppl, "--prefill", "100", "--per-token", path)
        self.check_rows(got["rows"])
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        self.assertEqual([r["pos"] for r in rows], list(range(100, len(TEXT))))
        ids = self.good_json("tokenize", MODEL, stdin=TEXT)["tokens"]
        self.assertEqual([r["id"] for r in rows], ids[100:])
        self.assertEqual(got["tokens"], len(rows))
        self.assertAlmostEqual(-sum(r["logprob"] for r in rows), got["nll"] * got["tokens"], 4)
        self.assertTrue(math.isclose(got["ppl"], math.exp(got["nll"]), rel_tol=1e-9))
        self.assertGreater(got["ppl_stderr"], 0)
        self.assertIs(got["complete"], True)
        tokens = self.write("ids.json", json.dumps(ids))
        same = self.good_json("eval", "ppl", "-m", MODEL, "--tokens", tokens, "--prefill", "100")
        self.assertEqual(same["nll"], got["nll"])
        text = self.good(*self.ppl, "--prefill", "100")
        self.assertRegex(text.out, r"\Aperplexity [\d.]+ \+- [\d.]+ over %d tokens\n\Z" % len(rows))

    def test_a_budget_beyond_the_text_is_full_attention(self):
        words = (*self.ppl, "--prefill", "200", "--min-context", "0")
        full = self.good_json(*words, "--method", "full")
        for method in METHODS[1:]:
            got = self.good_json(*words, "--method", method, "--budget", "2000")
            self.assertEqual((got["nll"], got["rows"]["share"]), (full["nll"], 1), method)
            sparse = self.good_json(*words, "--method", method, "--budget", "32")
            self.assertNotEqual(sparse["nll"], full["nll"], method)
            self.assertLess(sparse["rows"]["share"], 0.9, method)
        corrected = self.good_json(*words, "--budget", "32", "--correct-every", "10")
        self.assertEqual(corrected["corrections"], (len(TEXT) - 200 - 2) // 10)

    def test_lengths(self):
        got = self.good_json(*self.ppl, "--prefill", "100", "--max-tokens", "150")
        self.assertEqual(got["tokens"], 50)
        self.fails(*self.ppl, "--max-tokens", "100000", says=[str(len(TEXT)), "--max-tokens"])
        self.fails(*self.ppl, "--prefill", "100000", says=[str(len(TEXT)), "--prefill"])
        self.fails(*self.ppl, "-c", "10", says=[str(len(TEXT)), "--ctx-size"])
        self.fails(*self.ppl, "--per-token", self.folder / "no" / "x", says=["No such file"])
        self.misused("eval", "ppl", "-m", MODEL, says=["-f FILE"])
        self.misused("eval", "ppl", "-m", MODEL, "-f", self.text, "--tokens", self.text)
        self.misused(*self.ppl, "--prefill", "0", says=["--prefill"])
        self.fails("eval", "ppl", "-m", MODEL, "-f", self.write("empty", ""), says=["0 tokens"])

    def test_interrupt_prints_what_is_done(self):
        text = self.write("long.txt", TEXT * 100)
        for prefill in ("1", str(len(TEXT) * 99)):
            with Running("eval", "ppl", "-m", MODEL, "-f", text, "--json", "--method", "full",
                         "--prefill", prefill) as run:
                run.interrupt()
                result = run.end()
            self.assertEqual(result.status, 130, result)
            got = result.json()
            self.assertIs(got["complete"], False)
            self.assertLess(got["tokens"], len(TEXT) * 100 - 1)


class Bench(Case):
    COLUMNS = ("model quant kv backend threads test method plan ms_median ms_min tok_s rows_share "
               "gb_moved gb_s bandwidth_share speedup_vs_full").split()
    SMALL = ("bench", "-d", "0,64", "-p", "32", "-n", "2", "-t", "1", "--method", "tidal,full",
             "--min-context", "0", "--budget", "32")
    TESTS = ["pp32", "tg2 @ d0", "tg2 @ d0", "tg2 @ d64", "tg2 @ d64"]

    def test_json(self):
        for words in (("-o", "json"), ("--json",)):
            result = self.good(*self.SMALL, "-m", MODEL, *words)
            got = result.json()
            self.assertEqual(got["machine"]["threads"], 1)
            self.assertEqual(got["machine"]["backend"], "cpu")
            self.assertTrue(got["machine"]["target"])
            self.assertGreater(got["bandwidth_gb_s"], 0)
            self.assertIn("read bandwidth", result.err)
            self.assertEqual([row["test"] for row in got["rows"]], self.TESTS)
            for row in got["rows"]:
                self.assertEqual(list(row), self.COLUMNS)
                self.assertLessEqual(row["ms_min"], row["ms_median"])
                self.assertTrue(math.isclose(row["gb_s"], row["gb_moved"] / row["ms_median"] * 1000,
                                             rel_tol=1e-6))
                self.assertTrue(math.isclose(row["bandwidth_share"],
                                             row["gb_s"] / got["bandwidth_gb_s"], rel_tol=1e-6))
            full, sparse = got["rows"][3:]
            self.assertEqual((full["method"], sparse["method"]), ("full", "tidal"))
            self.assertEqual((full["rows_share"], full["speedup_vs_full"]), (1, 1))
            self.assertLess(sparse["rows_share"], 1)
            self.assertLess(sparse["gb_moved"], full["gb_moved"])
            self.assertGreater(sparse["speedup_vs_full"], 0)

    def test_a_speedup_is_of_neighbouring_steps(self):
        words = ["1" if word == "2" else word for word in self.SMALL]  # one step
        full, sparse = self.good(*words, "-m", MODEL, "--json").json()["rows"][3:]
        self.assertEqual(full["test"], "tg1 @ d64")
        self.assertTrue(math.isclose(sparse["speedup_vs_full"],
                                     full["ms_median"] / sparse["ms_median"], rel_tol=1e-6))

    def test_drafts(self):
        result = self.good(*self.SMALL, "-m", MODEL, "--drafts", "3", "--json")
        rows = result.json()["rows"]
        self.assertEqual([row["test"] for row in rows if "verification" in row["test"]],
                         ["tg2 @ d0: verification of 3", "tg2 @ d64: verification of 3"])
        self.assertRegex(result.err, r"lossless at depth 64, 3 drafts by tidal.*: \d\.\d+ \(70 %\)")

    def test_crossover(self):
        words = ("bench", "-m", MODEL, "-n", "2", "-t", "1", "--crossover", "--budget", "32")
        result = self.good(*words, "-d", "64,128", "--json")
        got = result.json()
        self.assertEqual([row["test"] for row in got["rows"]], ["tg2 @ d64"] * 2 + ["tg2 @ d128"] * 2)
        self.assertLess(got["rows"][1]["rows_share"], 1)  # whatever --min-context is by default
        found = got["crossover"]
        self.assertEqual(found["method"], "tidal")
        self.assertGreater(found["default"], 32)
        last = got["rows"][-1]["speedup_vs_full"]
        self.assertEqual(found["measured"] is None, last <= 1)
        self.assertIn("tidal is faster than full", result.err)
        self.assertIn(str(found["default"]), result.err)
        self.misused(*words, "--method", "tidal", says=["--crossover", "full"])

    def test_csv(self):
        table = self.good(*self.SMALL, "-m", MODEL, "-o", "csv").out
        got = list(csv.DictReader(io.StringIO(table)))
        self.assertEqual([row["test"] for row in got], self.TESTS)
        self.assertEqual(list(got[0]), self.COLUMNS)
        self.assertEqual({row["model"] for row in got}, {"tiny-llama"})

    def test_markdown(self):
        lines = self.good(*self.SMALL, "-m", MODEL).out.splitlines()
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        self.assertEqual(cells[0], self.COLUMNS)
        self.assertEqual({len(row) for row in cells}, {len(self.COLUMNS)})
        self.assertEqual([row[5] for row in cells[2:]], self.TESTS)

    def test_batches(self):
        got = self.good(*self.SMALL, "-m", MODEL, "--batch", "1,3", "--json").json()
        tests = [row["test"] for row in got["rows"]]
        self.assertEqual(tests[1:], ["tg2 @ d0"] * 2 + ["tg2 @ d0 x3"] * 2 + ["tg2 @ d64"] * 2
                         + ["tg2 @ d64 x3"] * 2)
        for row in got["rows"][1:]:
            n = 3 if row["test"].endswith("x3") else 1
            self.assertTrue(math.isclose(row["tok_s"], 1000 * n / row["ms_median"], rel_tol=1e-6))
        one, three = got["rows"][5], got["rows"][7]
        self.assertEqual((one["method"], three["method"]), ("full", "full"))
        self.assertLess(three["gb_moved"], 3 * one["gb_moved"])  # weights count once
        self.assertGreater(three["gb_moved"], one["gb_moved"])
        self.misused("bench", "-m", MODEL, "--batch", "0", says=["'0'"])

    def test_operators(self):
        words = (*self.SMALL, "-m", MODEL, "--ops", "--plan",
                 "full:0-1 select:2 scope:all own:on budget:32")
        got = self.good(*words, "--json").json()
        rows = {}
        for row in got["rows"]:
            self.assertEqual(list(row), self.COLUMNS + ["calls", "step_share"])
            rows.setdefault((row["test"], row["method"]), row)
        layers = 4
        for method, name, calls in (
                ("full", "norm", 2 * layers + 1), ("full", "rope", 2 * layers),
                ("full", "attend full", layers), ("full", "matvec logits Q8_0 [259, 64]", 1),
                ("full", "sampling", 1), ("full", "all operators", 1), ("tidal", "attend full", 2),
                ("tidal", "score", 1), ("tidal", "top-k, scope all", 1),
                ("tidal", "top-k, scope q", 1), ("tidal", "attend sparse, scope all", 1),
                ("tidal", "attend full, scores kept", 1)):
            row = rows["tg2 @ d64: " + name, method]
            self.assertEqual(row["calls"], calls, name)
            self.assertGreater(row["step_share"], 0)
        self.assertIsNone(rows["tg2 @ d64: norm", "full"]["gb_s"])
        lines = self.good(*words).out.splitlines()
        self.assertEqual({line.count("|") for line in lines}, {len(self.COLUMNS) + 3})
        got = self.good(*words, "--step-queries", "4", "--json").json()
        one, four = (next(row for row in got["rows"] if row["test"] == "tg2 @ d64: " + name)
                     for name in ("attend full", "attend full, several queries"))
        self.assertEqual(four["calls"], layers)
        # Each row is read once for all of them.
        self.assertTrue(math.isclose(four["gb_moved"], one["gb_moved"], rel_tol=0.1))
        self.misused("bench", "-m", MODEL, "--step-queries", "4", says=["--ops"])
        self.misused("bench", "-m", MODEL, "--ops", "--step-queries", "17", says=["'17'"])

    def test_random_weights(self):
        got = self.good("bench", "--shape", "smollm2-135m", "--quant", "Q4_0", "-d", "16", "-p",
                        "0", "-n", "1", "--method", "full", "-o", "json").json()
        self.assertEqual([(r["model"], r["quant"], r["test"]) for r in got["rows"]],
                         [("smollm2-135m", "Q4_0", "tg1 @ d16")])

    def test_misuse(self):
        self.misused("bench", "-m", MODEL, "--shape", "smollm2-135m", says=["not both"])
        self.misused("bench", "-m", MODEL, "--quant", "Q8_0", says=["--shape"])
        self.misused("bench", "-m", MODEL, "--method", "full,guess", says=["guess"])
        self.misused("bench", "-m", MODEL, "-d", "0,x", says=["'x'"])
        self.misused("bench", "-m", MODEL, "-n", "0", says=["'0'"])
        self.misused("bench", "-m", MODEL, "-o", "xml", says=["xml"])
        self.fails("bench", "--shape", "gpt-9", says=["gpt-9", "smollm2-135m"])
        self.fails("bench", "--shape", "smollm2-135m", "--quant", "Q99", says=["Q99"])


class Help(Case):
    COMMANDS = ("generate", "chat", "inspect", "tokenize", "bench", "eval ppl", "eval kld",
                "eval needle", "eval recall", "calibrate")

    def test_each_shows_groups_defaults_and_one_example(self):
        for command in self.COMMANDS:
            with self.subTest(command):
                text = self.good(*command.split(), "--help").out
                self.assertRegex(text, f"\nExample: .*tidal {command}")
                self.assertEqual(text.count("Example:"), 1)
        generate = self.good("generate", "--help").out
        for part in ("Prompt:", "Generation:", "Attention:", "Model:", "=128", "=0.8", "=f16",
                     "=tidal", "-ctk"):
            self.assertIn(part, generate)
        for words in (("--help",), ("eval", "--help")):
            self.assertEqual(self.good(*words).out.count("Example: tidal"), 1)
        self.assertRegex(self.good("--version").out, r"\Atidal \d+\.\d+\.\d+\n\Z")

    def test_unknown_commands(self):
        self.misused(says=["give a command: generate"])
        self.misused("eval", says=["give a command: ppl"])
        self.misused("generete", says=["generete", "generate"])
        self.misused("eval", "vibes", says=["vibes", "ppl"])
        self.misused("--bogus", says=["give a command: generate"])


if __name__ == "__main__":
    unittest.main()
