"""The closing line of `generate` followed the answer on the same line where standard output is a pipe
and standard error a terminal."""

import subprocess
import unittest

from support import MODEL, TIDAL, TIMEOUT, Case

WORDS = ["generate", "-m", str(MODEL), "-p", "hello", "-n", "5", "--temp", "0"]


class ClosingLine(Case):
    def test_it_comes_behind_the_end_of_the_answer(self):
        both = subprocess.run([TIDAL, *WORDS], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=TIMEOUT).stdout
        self.assertRegex(both, rb"\n\d+ prompt tokens in [^\n]*\n\Z")

    def test_a_text_without_a_newline_gets_one_and_only_such_a_text(self):
        for seed in range(40):
            words = [*WORDS[:-2], "--seed", str(seed), "--temp", "5"]
            text = self.good_json(*words)["text"]
            out = self.good(*words).out
            self.assertEqual(out, text if text.endswith("\n") else text + "\n")


if __name__ == "__main__":
    unittest.main()
