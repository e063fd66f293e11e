"""`generate --tokens -` read standard input twice and found nothing the second time."""

import os
import threading
import unittest

from support import MODEL, Case

TOKENS = "[104,105]"


class SourcesReadOnce(Case):
    def pipe(self, text):
        """The path of a pipe that gives the text once."""
        path = self.folder / f"pipe{len(list(self.folder.iterdir()))}"
        os.mkfifo(path)
        writer = threading.Thread(target=lambda: path.write_text(text), daemon=True)
        writer.start()
        return path

    def test_tokens_from_standard_input_and_pipes(self):
        words = ["generate", "-m", MODEL, "-n", "2", "--temp", "0"]
        expected = self.good_json(*words, "--tokens", self.write("ids.json", TOKENS))["tokens"]
        self.assertEqual(self.good_json(*words, "--tokens", "-", stdin=TOKENS)["tokens"], expected)
        self.assertEqual(self.good_json(*words, "--tokens", self.pipe(TOKENS))["tokens"], expected)

    def test_texts_of_evaluations(self):
        text = "hello there " * 10
        words = ["eval", "kld", "-m", MODEL, "--prefill", "20"]
        expected = self.good_json(*words, "-f", self.write("text.txt", text))["kld"]
        self.assertEqual(self.good_json(*words, "-f", "-", stdin=text)["kld"], expected)
        self.assertEqual(self.good_json(*words, "-f", self.pipe(text))["kld"], expected)

    def test_standard_input_is_not_two_texts(self):
        self.fails("eval", "kld", "-m", MODEL, "-f", "-", "-f", "-", stdin="hello " * 20,
                   says=["standard input", "once"])
        result = self.good("chat", "-m", MODEL, "-n", "2", stdin="/file -\nhello\n")
        self.assertIn("error: standard input can be read once", result.err)
        self.assertNotEqual(result.out, "")


if __name__ == "__main__":
    unittest.main()
