"""Every command turns sparse at the same length.

eval kld and needle once decided --min-context for rows of another size than the cache's, and so
read a part of a context that all other commands read whole.
"""

import json
import unittest

from support import MODEL, Case

# Between the lengths at which the plan pays for rows of 2,048 bytes and for this model's.
LENGTH = 1600
METHOD = ("--plan", "full:0 select:1 scope:all own:on", "--budget", "64")


class MinContext(Case):
    def rows(self, *words):
        return self.good_json(*words, "-m", MODEL, *METHOD)["rows"]

    def setUp(self):
        super().setUp()
        ids = [3 + (i * i + i // 7) % 200 for i in range(LENGTH)]
        self.tokens = self.write("tokens.json", json.dumps(ids))

    def test_eval_kld_reads_what_eval_ppl_and_generate_read(self):
        text = ("--tokens", self.tokens, "--prefill", LENGTH - 20)
        ppl = self.rows("eval", "ppl", *text)
        self.assertEqual(ppl["share"], 1)
        self.assertEqual(self.rows("eval", "kld", *text), ppl)
        generated = self.rows("generate", "--tokens", self.tokens, "-n", 4, "--ignore-eos")
        self.assertEqual(generated["share"], 1)

    def test_eval_needle_reads_what_generate_reads(self):
        cells = self.good_json("eval", "needle", "-m", MODEL, "--lengths", LENGTH, "--depths", 1,
                               "--methods", "tidal", *METHOD[:2], "--budgets", 64)["cells"]
        self.assertEqual([cell["rows"]["share"] for cell in cells], [1])

    def test_longer_rows_are_sparse_earlier_everywhere(self):
        text = ("--tokens", self.tokens, "--prefill", LENGTH - 20, "-ctk", "f32", "-ctv", "f32")
        ppl = self.rows("eval", "ppl", *text)
        self.assertLess(ppl["share"], 1)
        self.assertEqual(self.rows("eval", "kld", *text), ppl)


if __name__ == "__main__":
    unittest.main()
