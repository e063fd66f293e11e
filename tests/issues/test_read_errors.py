"""An error while standard input was read looked like its end: the text was cut without a word."""

import os
import subprocess
import unittest

from support import MODEL, TIDAL, TIMEOUT, Case


class ReadErrors(Case):
    def test_a_folder_as_standard_input(self):
        text = self.write("text.txt", "hello")
        for words in (["tokenize", MODEL], ["tokenize", MODEL, "--decode"],
                      ["generate", "-m", MODEL, "-f", "-"],
                      ["generate", "-m", MODEL, "--tokens", "-"],
                      ["eval", "ppl", "-m", MODEL, "-f", "-"], ["chat", "-m", MODEL]):
            folder = os.open(self.folder, os.O_RDONLY)
            done = subprocess.run([TIDAL, *map(str, words)], stdin=folder, capture_output=True,
                                  timeout=TIMEOUT)
            os.close(folder)
            self.assertEqual(done.returncode, 1, words)
            self.assertIn(b"cannot read standard input: Is a directory", done.stderr)
            self.assertEqual(done.stdout, b"")
        self.assertTrue(text.exists())

    def test_a_file_that_fails_on_the_way(self):
        self.fails("generate", "-m", MODEL, "-f", "/proc/self/mem", says=["/proc/self/mem"])


if __name__ == "__main__":
    unittest.main()
