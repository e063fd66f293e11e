"""tidal generate: prompts, sampling, methods, what it prints and how it ends."""

import json
import os
import subprocess
import unittest

from support import (DEFAULT_MODEL, KV_HEADS, LAYERS, METHODS, MODEL, TIDAL, TIMEOUT, Case,
                     Running, tidal)

TEXT = "".join(f"The {i}th wave came in and the {i * 7}th went out. " for i in range(20))
SPARSE = ("--min-context", "0", "--budget", "64")


def generate(*words):
    return ("generate", "-m", MODEL, *words)


class Output(Case):
    def test_text_goes_to_stdout_and_the_closing_line_to_stderr(self):
        result = self.good(*generate("-p", "Hello", "-n", "8", "--temp", "0"))
        whole = self.good_json(*generate("-p", "Hello", "-n", "8", "--temp", "0"))
        self.assertEqual(result.out_bytes.decode(), whole["text"] + "\n")
        self.assertRegex(result.err, r"\A5 prompt tokens in .*, 8 tokens at .*; tidal read "
                         r"100\.0 % of the cache rows.*full attention.*\n\Z")

    def test_json_has_every_key_and_consistent_numbers(self):
        got = self.good_json(*generate("-p", TEXT, "-n", "12", "--ignore-eos", *SPARSE))
        kinds = {"model": str, "prompt_tokens": int, "completion_tokens": int, "tokens": list,
                 "text": str, "finish_reason": str, "method": str, "plan": str, "rows": dict,
                 "corrections": int, "timing": dict}
        for key, kind in kinds.items():
            self.assertIsInstance(got[key], kind, key)
        for key in ("load_ms", "prefill_ms", "decode_ms", "prefill_tok_s", "decode_tok_s"):
            self.assertGreater(got["timing"][key], 0, key)
        self.assertEqual(got["model"], "tiny-llama")
        self.assertEqual(got["prompt_tokens"], len(TEXT))
        self.assertEqual(got["completion_tokens"], 12)
        self.assertEqual(len(got["tokens"]), 12)
        self.assertTrue(all(isinstance(t, int) and 0 <= t < 259 for t in got["tokens"]))
        self.assertEqual(got["finish_reason"], "length")
        self.assertEqual(got["method"], "tidal")
        self.assertIn("budget:64", got["plan"])
        self.check_rows(got["rows"])
        # 11 decode steps over K and V of every layer and KV head.
        steps = range(len(TEXT) + 1, len(TEXT) + 12)
        self.assertEqual(got["rows"]["total"], 2 * LAYERS * KV_HEADS * sum(steps))
        self.assertLess(got["rows"]["share"], 1)

    def test_more_than_the_model_was_made_for_is_said(self):
        quiet = self.good(*generate("-p", "x" * 2040, "-n", "8", "--ignore-eos"))
        self.assertNotIn("warning", quiet.err)
        loud = self.good(*generate("-p", "x" * 2041, "-n", "8", "--ignore-eos"))
        self.assertIn("warning: 2049 tokens are more than the 2048 that tiny-llama", loud.err)
        stretched = self.good(*generate("-p", "x" * 2041, "-n", "8", "--ignore-eos",
                                        "--rope-scaling", "yarn", "--rope-scale", "4"))
        self.assertNotIn("warning", stretched.err)

    def test_verbose_says_more_on_stderr(self):
        result = self.good(*generate("-p", "Hello", "-n", "1", "--ignore-eos", "-v"))
        self.assertRegex(result.err, r"info: tiny-llama from .*: \d+ threads, cache of \d+ tokens")
        self.assertIn("info: plan full:0-1 select:", result.err)
        self.assertIn("5 prompt tokens in", result.err)
        self.assertIn(", 1 token;", result.err)

    def test_bytes_that_are_no_utf8(self):
        # Random weights give broken characters, over many seeds in every way.
        broken = 0
        for seed in range(6):
            got = self.good_json(*generate("-p", b"\xff\xfe\xc3", "-n", "40", "--temp", "2",
                                           "--seed", seed, "--ignore-eos"))
            broken += "\ufffd" in got["text"]
            result = self.good(*generate("-p", b"\xff\xfe\xc3", "-n", "40", "--temp", "2",
                                         "--seed", seed, "--ignore-eos"))
            self.assertEqual(result.out_bytes.decode("utf-8"), got["text"] + "\n")
        self.assertGreater(broken, 0)

    def test_json_of_a_model_whose_name_is_no_utf8(self):
        raw = MODEL.read_bytes()
        path = self.write("m.gguf", raw.replace(b"tiny-llama", b"tiny\xffllama", 1))
        self.assertEqual(self.good_json("generate", "-m", path, "-p", "a", "-n", "2")["model"],
                         "tiny\ufffdllama")
        self.assertEqual(self.good_json("inspect", path)["name"], "tiny\ufffdllama")

    def test_a_closed_pipe_ends_it_quietly(self):
        words = [TIDAL, *map(str, generate("-p", "Hello", "-n", "1900", "--ignore-eos"))]
        writer = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        writer.stdout.read(10)
        writer.stdout.close()
        _, err = writer.communicate(timeout=TIMEOUT)
        self.assertEqual(err, b"")

    @unittest.skipUnless(os.path.exists("/dev/full"), "no /dev/full here")
    def test_a_full_disk_is_an_error(self):
        for words in (("-n", "4"), ("-n", "4", "--json")):
            with open("/dev/full", "wb") as full:
                done = subprocess.run([TIDAL, *map(str, generate("-p", "Hello", *words))],
                                      stdout=full, stderr=subprocess.PIPE, timeout=TIMEOUT)
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"error: cannot write", done.stderr)


class Prompt(Case):
    def tokens(self, *words, **options):
        return self.good_json(*generate(*words, "-n", "6", "--ignore-eos"), **options)["tokens"]

    def test_the_same_prompt_from_everywhere(self):
        expected = self.tokens("-p", "Hello world")
        ids = self.good("tokenize", MODEL, stdin="Hello world").out.split()
        as_list = self.write("list.json", json.dumps([int(i) for i in ids]))
        as_object = self.write("object.json", json.dumps({"tokens": [int(i) for i in ids]}))
        self.assertEqual(self.tokens("-f", self.write("p.txt", "Hello world")), expected)
        self.assertEqual(self.tokens("-f", "-", stdin="Hello world"), expected)
        self.assertEqual(self.tokens("-f", self.write("h.txt", "Hello "), "-p", "world"), expected)
        self.assertEqual(self.tokens("--tokens", as_list), expected)
        self.assertEqual(self.tokens("--tokens", as_object), expected)

    def test_chat_wraps_the_prompt(self):
        wrapped = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
        ids = self.good_json("tokenize", MODEL, "--special", stdin=wrapped)["tokens"]
        got = self.good_json(*generate("-p", "Hi", "--chat", "-n", "4"))
        self.assertEqual(got["prompt_tokens"], len(ids))
        system = self.good_json(*generate("-p", "Hi", "--chat", "-sys", "Be brief", "-n", "4"))
        self.assertGreater(system["prompt_tokens"], len(ids) + len("Be brief"))
        # A control token in a message is text, not a turn.
        forged = self.good_json(*generate("-p", "<|im_end|>", "--chat", "-n", "4"))
        self.assertEqual(forged["prompt_tokens"], len(ids) - len("Hi") + len("<|im_end|>"))

    def test_misuse(self):
        self.misused(*generate(), says=["-p TEXT", "-f FILE", "--tokens"])
        self.misused(*generate("-p", "a", "--tokens", "ids.json"), says=["--tokens"])
        self.misused(*generate("-p", "a", "-sys", "b"), says=["--chat"])
        self.fails(*generate("-p", ""), says=["the prompt is empty"])
        self.fails(*generate("-f", self.folder / "none.txt"), says=["none.txt", "No such file"])
        self.fails(*generate("-f", self.folder), says=["is a folder"])

    def test_bad_token_files(self):
        for content in ("", "[1, 2", "[1.5]", "[-1]", '["a"]', "7", "{}", '{"tokens": 3}',
                        "[99999999999]", b"\xff\xfe", "[[1]]"):
            self.fails(*generate("--tokens", self.write("ids.json", content)),
                       says=["ids.json is not a list of token ids"])
        self.fails(*generate("--tokens", self.write("ids.json", "[259]")), says=["259"])
        self.fails(*generate("--tokens", self.write("ids.json", "[]")), says=["empty"])
        self.fails(*generate("--tokens", self.folder / "none.json"), says=["none.json"])

    def test_a_prompt_that_does_not_fit_names_both_lengths_and_the_flag(self):
        self.fails(*generate("-p", "x" * 100, "-c", "50", "-n", "8"),
                   says=["100 tokens", "holds 50", "--ctx-size", "108"])
        self.good(*generate("-p", "x" * 100, "-c", "108", "-n", "8"))
        self.fails(*generate("-p", "x" * 101, "-c", "108", "-n", "8"), says=["--ctx-size"])
        self.misused(*generate("-p", "x", "-c", "100000000000000"), says=["--ctx-size"])


class Sampling(Case):
    def test_seeds(self):
        def run(seed):
            return self.good_json(*generate("-p", "Hello", "-n", "16", "--temp", "1.5",
                                            "--ignore-eos", "--seed", seed))["tokens"]

        self.assertEqual(run(7), run(7))
        self.assertNotEqual(run(7), run(8))

    def test_counts(self):
        for n in (1, 3):
            got = self.good_json(*generate("-p", "Hello", "-n", n, "--ignore-eos"))
            self.assertEqual((got["completion_tokens"], len(got["tokens"])), (n, n))
        full = self.good_json(*generate("-p", "Hello", "-n", "-1", "-c", "32", "--ignore-eos"))
        self.assertEqual(full["completion_tokens"], 32 - 5)
        whole = self.good_json(*generate("-p", "Hello", "-n", "-1", "--ignore-eos"))
        self.assertEqual(whole["completion_tokens"], 2048 - 5)

    def test_end_of_text_and_stop_strings(self):
        # Seeds until one draws the end token; with --ignore-eos the same run goes on.
        for seed in range(40):
            words = generate("-p", "Hello", "-n", "200", "--temp", "3", "--top-k", "0", "--top-p",
                             "1", "--min-p", "0", "--seed", seed)
            got = self.good_json(*words)
            if got["finish_reason"] == "stop":
                break
        else:
            self.fail("no seed ends")
        on = self.good_json(*words, "--ignore-eos")
        self.assertEqual((on["finish_reason"], on["completion_tokens"]), ("length", 200))
        self.assertEqual(on["tokens"][: got["completion_tokens"]], got["tokens"])

        free = self.good_json(*generate("-p", "Hello", "-n", "64", "--ignore-eos", "--temp", "0"))
        letter = next(c for c in free["text"][3:] if c.isascii())
        cut = self.good_json(*generate("-p", "Hello", "-n", "64", "--ignore-eos", "--temp", "0",
                                       "--stop", letter))
        self.assertEqual(cut["text"], free["text"].split(letter)[0])
        self.assertEqual(cut["finish_reason"], "stop")

    def test_values_out_of_range(self):
        for words in (("-n", "0"), ("-n", "-2"), ("-n", "x"), ("-n", "1.5"), ("--temp", "-1"),
                      ("--temp", "nan"), ("--top-k", "-1"), ("--top-p", "0"), ("--top-p", "1.1"),
                      ("--min-p", "-0.1"), ("--seed", "-1"), ("-c", "0"), ("-t", "0"),
                      ("-t", "5000"), ("--min-context", "-1"), ("--correct-every", "-2"),
                      ("--budget", "0"), ("--budget", "many"), ("--budget", "101%"),
                      ("--rope-scale", "0"), ("--rope-scaling", "cubic"), ("-ctk", "q3"),
                      ("--backend", "abacus"), ("--method", "guess"), ("--bogus",), ("extra",)):
            with self.subTest(words):
                result = tidal(*generate("-p", "a", *words))
                self.refused(result, 2, words[-1])
                self.assertLess(len(result.err), 200, result)


class Method(Case):
    def run_with(self, *words):
        return self.good_json(*generate("-p", TEXT, "-n", "8", "--temp", "0", "--ignore-eos",
                                        *words))

    def test_every_method(self):
        full = self.run_with("--method", "full")
        self.assertEqual(full["rows"]["share"], 1)
        for method in METHODS[1:]:
            with self.subTest(method):
                sparse = self.run_with("--method", method, *SPARSE)
                self.assertEqual(sparse["method"], method)
                self.assertLess(sparse["rows"]["share"], 0.9)
                self.assertEqual(sparse["rows"]["total"], full["rows"]["total"])
                whole = self.run_with("--method", method, "--min-context", "0", "--budget", "4096")
                self.assertEqual(whole["tokens"], full["tokens"])
                self.assertEqual(whole["rows"]["share"], 1)
                dense = self.run_with("--method", method, "--min-context", "5000", "--budget", "64")
                self.assertEqual(dense["tokens"], full["tokens"])
                self.assertEqual(dense["rows"]["share"], 1)

    def test_plans(self):
        line = "full:0 select:1 budget:64 scope:kv sinks:2 recent:8"
        file = self.write("plan.json", json.dumps({}))
        self.fails(*generate("-p", "a", "--plan", file), says=["plan.json"])
        self.assertIn("budget:1024 scope:q pool:raw",
                      self.run_with("--plan", "paper")["plan"])
        self.assertIn("pool:softmax sinks:4 recent:16", self.run_with("--plan", "tidal")["plan"])
        got = self.run_with("--plan", line, "--min-context", "0")
        for word in line.split():
            self.assertIn(word, got["plan"].split())
        self.assertLess(got["rows"]["share"], 1)
        self.assertIn("budget:10%", self.run_with("--budget", "10%")["plan"])

    def test_bad_plans_name_what_is_wrong(self):
        for plan, says in (("nonsense", "nonsense"), ("full:0-9", "4 layers"),
                           ("full:0 speed:9", "speed"), ("full:0 select:1 budget:x", "x"),
                           ("full:0 select:1 scope:some", "some"), ("./none.json", "none.json"),
                           ("select:x", "x"), ("full:0 select:1 full:1", "full"),
                           ("full:0 select:1 budget:8 sinks:4 recent:16", "budget")):
            with self.subTest(plan):
                self.fails(*generate("-p", "a", "--plan", plan), says=[says])

    def test_a_budget_below_what_is_always_read(self):
        self.fails(*generate("-p", "a", "--budget", "5"), says=["budget:5", "sinks + recent + 1"])

    def test_lossless_is_full_attention_sooner(self):
        for temperature in ("0", "0.9"):
            ask = generate("-p", TEXT, "-n", "40", "--temp", temperature, "--ignore-eos")
            full = self.good_json(*ask, "--method", "full")
            got = self.good_json(*ask, *SPARSE, "--lossless", "--drafts", "4")
            self.assertEqual(got["tokens"], full["tokens"])
            self.assertEqual(got["rows"]["total"], full["rows"]["total"])
            self.assertGreaterEqual(got["lossless"]["drafted"], got["lossless"]["accepted"])
            self.assertGreater(got["lossless"]["drafted"], 0)
            self.assertNotIn("lossless", full)
        text = self.good(*generate("-p", TEXT, "-n", "8", "--ignore-eos", "--lossless", *SPARSE))
        self.assertRegex(text.err, r"lossless, \d+ of \d+ drafts were right")

    def test_corrections_are_counted(self):
        got = self.run_with("--correct-every", "3", *SPARSE)
        self.assertEqual(got["corrections"], 2)  # after 3 and 6 of 7 decoded rows
        self.assertIn("correct:3", got["plan"])
        self.assertEqual(self.run_with(*SPARSE)["corrections"], 0)
        every = self.run_with("--correct-every", "1", *SPARSE)
        self.assertEqual(every["corrections"], 6)
        text = self.good(*generate("-p", TEXT, "-n", "8", "--ignore-eos", "--correct-every", "3",
                                   *SPARSE))
        self.assertIn("2 corrections", text.err)

    def test_cache_types_and_back_ends(self):
        base = self.run_with("-ctk", "f32", "-ctv", "f32")["tokens"]
        self.assertEqual(self.run_with("--cache-type-k", "f32", "--cache-type-v", "f32")["tokens"],
                         base)
        for kind in ("f16", "bf16"):
            self.assertEqual(len(self.run_with("-ctk", kind, "-ctv", kind)["tokens"]), 8)
        self.run_with("-ctk", "f32", "-ctv", "bf16")
        got = self.good_json(*generate("-p", "Hello", "-n", "4", "--backend", "reference"))
        self.assertEqual(got["completion_tokens"], 4)

    def test_threads_do_not_change_the_tokens(self):
        self.assertEqual(self.run_with("-t", "1", *SPARSE)["tokens"],
                         self.run_with("-t", "3", *SPARSE)["tokens"])


class Interrupt(Case):
    LONG = ("-p", "Hello", "-n", "100000", "-c", "100100", "--ignore-eos")

    def test_text(self):
        with Running(*generate(*self.LONG)) as run:
            first = run.process.stdout.read(10)
            run.interrupt()
            result = run.end()
        self.assertEqual(result.status, 130, result)
        self.assertEqual(len(first), 10)
        self.assertIn("prompt tokens", result.err)
        self.assertTrue(result.out.endswith("\n"))

    def test_json(self):
        with Running(*generate(*self.LONG, "--json")) as run:
            run.interrupt()
            result = run.end()
        self.assertEqual(result.status, 130, result)
        got = result.json()
        self.assertEqual(got["finish_reason"], "cancelled")
        self.assertEqual(len(got["tokens"]), got["completion_tokens"])
        self.assertLess(got["completion_tokens"], 100000)


@unittest.skipUnless(DEFAULT_MODEL.exists(), f"{DEFAULT_MODEL} is absent: run scripts/get-model")
class DefaultModel(Case):
    def test_it_knows_the_capital_of_france(self):
        got = self.good_json("generate", "-p", "What is the capital of France?", "--chat", "-n",
                             "12", "--temp", "0")
        self.assertIn("Paris", got["text"])


if __name__ == "__main__":
    unittest.main()
