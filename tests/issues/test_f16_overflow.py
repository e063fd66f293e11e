"""K beyond what an f16 cache holds gives logits that are not numbers. The message blamed the file, and
`chat` said nothing at all: an empty answer went into the conversation."""

import struct
import unittest

from gguf_edit import Gguf
from support import MODEL, Case, tidal

Q8_0 = 8


class F16Overflow(Case):
    def setUp(self):
        super().setUp()
        raw = bytearray(MODEL.read_bytes())
        kind, elements, begin = Gguf(raw).tensors["blk.1.attn_k.weight"]
        self.assertEqual(kind, Q8_0)
        for block in range(elements // 32):
            struct.pack_into("<e", raw, begin + 34 * block, 30000)  # its scale
        self.model = self.write("m.gguf", bytes(raw))
        self.text = self.write("text.txt", "hello hello hello hello ")

    def test_generate_says_what_helps(self):
        words = ["generate", "-m", self.model, "-p", "hello", "-n", "2", "--temp", "0"]
        self.good(*words, "-ctk", "f32")
        self.good(*words, "-ctk", "bf16")
        result = self.run_failing(*words)
        self.assertIn("not numbers", result.err)
        self.assertIn("-ctk bf16", result.err)

    def run_failing(self, *words, **options):
        result = tidal(*words, **options)
        self.assertEqual(result.status, 1, result)
        return result

    def test_evaluations_say_so_too(self):
        for words in (["ppl"], ["kld", "--methods", "tidal"]):
            result = self.run_failing("eval", *words, "-m", self.model, "-f", self.text,
                                      "--prefill", "8")
            self.assertIn("-ctk bf16", result.err)

    def test_needle_says_so_instead_of_scoring(self):
        result = self.run_failing("eval", "needle", "-m", self.model, "--lengths", "700",
                                  "--depths", "1", "--budgets", "32", "--methods", "full,tidal")
        self.assertIn("needle's answer", result.err)
        self.assertIn("-ctk bf16", result.err)

    def test_chat_shows_the_error(self):
        result = self.run_failing("chat", "-m", self.model, "-n", "3", stdin="hi\nhi\n")
        self.assertEqual(result.err.count("error: "), 2, result)
        self.assertIn("-ctk bf16", result.err)
        self.assertEqual(result.out.strip(), "")

    def test_json_has_the_error(self):
        result = self.run_failing("chat", "-m", self.model, "-n", "3", "--json", stdin="hi\n")
        self.assertEqual(result.json()["finish_reason"], "error")
        self.assertIn("not numbers", result.json()["error"])


if __name__ == "__main__":
    unittest.main()
