"""The installed package on a tiny model; scripts/test-python brings it."""

import gc
import os
import pathlib
import signal
import threading
import time
import unittest

import tidal

MODEL = pathlib.Path(__file__).resolve().parents[2] / "tests" / "data" / "tiny-llama.gguf"
PROMPT = "Once upon a time"


class EngineTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.engine = tidal.Engine(MODEL, threads=1, max_sequences=2, context_size=2048,
                                  temperature=0, max_tokens=12, ignore_eos=True)

    @classmethod
    def tearDownClass(cls):
        cls.engine.close()

    def test_says_what_it_loaded(self):
        self.assertEqual(self.engine.model_name, "tiny-llama")
        self.assertEqual(self.engine.context_size, 2048)
        self.assertEqual(self.engine.trained_context, 2048)
        self.assertRegex(tidal.__version__, r"\A\d+\.\d+\.\d+\Z")

    def test_text_and_tokens_go_both_ways(self):
        for text in ("", "Once", "naïve — 你好\n", "zero \0 inside"):
            with self.subTest(text=text):
                self.assertTrue(self.engine.detokenize(self.engine.tokenize(text)).endswith(text))

    def test_generates(self):
        done = self.engine.generate(PROMPT)
        self.assertEqual(len(done.tokens), 12)
        self.assertEqual(done.finish_reason, "length")
        self.assertEqual(done.method, "tidal")
        self.assertEqual(done.prompt_tokens, len(self.engine.tokenize(PROMPT)))
        self.assertTrue(0 < done.rows_read <= done.rows_total)
        self.assertAlmostEqual(done.rows_share, done.rows_read / done.rows_total)
        self.assertGreater(done.decode_ms, 0)
        self.assertEqual(self.engine.generate(self.engine.tokenize(PROMPT)).tokens, done.tokens)

    def test_streams_the_same_text(self):
        generation = self.engine.generate(PROMPT, stream=True)
        self.assertEqual("".join(generation), generation.completion.text)
        self.assertEqual(generation.completion.tokens, self.engine.generate(PROMPT).tokens)
        self.assertEqual(list(generation), [])

    def test_options_of_a_request_override_the_engines(self):
        done = self.engine.generate(PROMPT, max_tokens=3, method="full", stop=["never", "this"])
        self.assertEqual(len(done.tokens), 3)
        self.assertEqual(done.method, "full")
        self.assertEqual(done.rows_share, 1)

    def test_lossless_tokens_are_those_of_full_attention(self):
        full = self.engine.generate(20 * PROMPT, method="full")
        done = self.engine.generate(20 * PROMPT, lossless=True, drafts=3, min_context=0, budget="32")
        self.assertEqual(done.tokens, full.tokens)
        self.assertGreater(done.drafted, 0)
        self.assertLessEqual(done.accepted, done.drafted)
        self.assertEqual((full.drafted, full.accepted), (0, 0))

    def test_chats(self):
        messages = [{"role": "user", "content": "Hello"}]
        tokens = self.engine.tokenize_chat(messages, "Well")
        self.assertIn("user\nHello", self.engine.detokenize(tokens))
        self.assertTrue(self.engine.detokenize(tokens).endswith("assistant\nWell"))
        done = self.engine.chat(messages, max_tokens=4)
        self.assertEqual(len(done.tokens), 4)
        self.assertEqual("".join(self.engine.chat(messages, max_tokens=4, stream=True)), done.text)

    def test_measures_divergence(self):
        text = "Once upon a time there was a little dog. " * 8
        seen = []
        full, quest = self.engine.eval_kld(text, n_prompt=64, methods=["full", "quest"],
                                           budget=64, min_context=0,
                                           progress=lambda done, total: seen.append(done / total))
        self.assertEqual((full["method"], quest["method"]), ("full", "quest"))
        self.assertEqual(full["tokens"], len(self.engine.tokenize(text)) - 64)
        self.assertAlmostEqual(full["kld"]["mean"], 0, 3)
        self.assertEqual(full["rows"]["share"], 1)
        self.assertLess(quest["rows"]["share"], 1)
        self.assertEqual(seen[-1], 1)
        with self.assertRaises(tidal.Error) as raised:
            self.engine.eval_kld(text, n_prompt=64, methods=["magic"])
        self.assertEqual(raised.exception.option, "method")
        with self.assertRaises(ZeroDivisionError):
            self.engine.eval_kld(text, n_prompt=64, progress=lambda done, total: 1 / 0)

    def test_ctrl_c_ends_an_evaluation(self):
        text = "Once upon a time there was a little dog. " * 40
        timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
        with self.assertRaises(KeyboardInterrupt):
            timer.start()
            self.engine.eval_kld(text, n_prompt=8)
            timer.join()
            time.sleep(1)

    def test_errors_are_exceptions_that_name_the_option(self):
        with self.assertRaises(tidal.Error) as raised:
            self.engine.generate(PROMPT, top_p=2)
        self.assertEqual((raised.exception.code, raised.exception.option),
                         ("invalid_argument", "top_p"))
        with self.assertRaises(tidal.Error) as raised:
            self.engine.generate(PROMPT, max_tokens=5000)
        self.assertEqual((raised.exception.code, raised.exception.option),
                         ("exhausted", "context_size"))
        with self.assertRaisesRegex(tidal.Error, "/no/such/model") as raised:
            tidal.Engine("/no/such/model")
        self.assertEqual(raised.exception.code, "not_found")
        with self.assertRaisesRegex(TypeError, "context_size"):
            self.engine.generate(PROMPT, context_size=1)
        with self.assertRaises(tidal.Error) as raised:
            tidal.Engine(MODEL, contextsize=1)
        self.assertEqual(raised.exception.option, "contextsize")
        with self.assertRaisesRegex(ValueError, "zero character"):
            self.engine.chat([{"role": "user", "content": "a\0b"}])

    def test_closing_a_generation_ends_it(self):
        generation = self.engine.generate(PROMPT, max_tokens=1000, stream=True)
        next(generation)
        generation.close()
        self.assertEqual(generation.completion.finish_reason, "cancelled")
        self.assertLess(len(generation.completion.tokens), 1000)

    def test_a_forgotten_generation_frees_its_place(self):
        for _ in range(4):  # more than fit at once
            next(self.engine.generate(PROMPT, max_tokens=1000, stream=True))
            gc.collect()
        self.assertEqual(len(self.engine.generate(PROMPT).tokens), 12)

    def test_ctrl_c_interrupts_and_leaves_a_usable_engine(self):
        generation = self.engine.generate(PROMPT, max_tokens=1900, stream=True)
        next(generation)
        timer = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT))
        with self.assertRaises(KeyboardInterrupt):
            timer.start()
            for _ in generation:
                pass
            timer.join()
            time.sleep(1)  # Ctrl-C came between two pieces
        generation.close()
        self.assertEqual(generation.completion.finish_reason, "cancelled")
        self.assertEqual(len(self.engine.generate(PROMPT).tokens), 12)

    def test_other_threads_run_while_it_decodes(self):
        expected = self.engine.generate(PROMPT, max_tokens=200).tokens
        results = []
        threads = [threading.Thread(target=lambda: results.append(
            self.engine.generate(PROMPT, max_tokens=200).tokens)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(results, [expected] * 4)

    def test_a_closed_engine_says_so(self):
        with tidal.Engine(MODEL, threads=1, context_size=256) as engine:
            generation = engine.generate(PROMPT, stream=True)
        with self.assertRaisesRegex(ValueError, "closed"):
            engine.generate(PROMPT)
        self.assertEqual(generation.completion.finish_reason, "cancelled")


if __name__ == "__main__":
    unittest.main()
