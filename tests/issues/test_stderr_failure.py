"""A log that could not be written ended the program by SIGABRT, and the result was lost."""

import os
import signal
import subprocess
import unittest

from support import MODEL, TIDAL, TIMEOUT, Case

GENERATE = ["generate", "-m", str(MODEL), "-p", "hi", "-n", "2", "--json"]
BENCH = ["bench", "-m", str(MODEL), "-d", "0", "-p", "0", "-n", "1", "--json"]


class StderrFailure(Case):
    def run_with(self, words, stderr, **options):
        return subprocess.run([TIDAL, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=stderr, timeout=TIMEOUT, **options)

    def eval_words(self):
        text = self.write("text.txt", "hello " * 20)
        return ["eval", "ppl", "-m", str(MODEL), "-f", str(text), "--prefill", "10", "--json"]

    def test_a_full_disk(self):
        for words in (GENERATE, BENCH, self.eval_words()):
            with open("/dev/full", "wb") as full:
                done = self.run_with(words, full)
            self.assertEqual(done.returncode, 0, words)
            self.assertTrue(done.stdout.startswith(b"{"), words)

    def test_a_closed_descriptor(self):
        for words in (GENERATE, BENCH, self.eval_words()):
            done = self.run_with(words, None, preexec_fn=lambda: os.close(2))
            self.assertEqual(done.returncode, 0, words)
            self.assertTrue(done.stdout.startswith(b"{"), words)

    def test_a_reader_that_is_gone(self):
        reading, writing = os.pipe()
        os.close(reading)
        done = self.run_with([*GENERATE, "-v"], writing)
        os.close(writing)
        self.assertEqual(done.returncode, 0)
        self.assertTrue(done.stdout.startswith(b"{"))

    def test_errors_keep_their_status(self):
        for words, status in ((["frob"], 2), (["generate", "-n", "x"], 2),
                              (["inspect", "/nowhere"], 1)):
            with open("/dev/full", "wb") as full:
                self.assertEqual(self.run_with(words, full).returncode, status)

    def test_a_result_that_cannot_be_written_is_an_error_with_the_first_reason(self):
        for words in (GENERATE, ["inspect", str(MODEL), "--metadata"], ["--help"]):
            with open("/dev/full", "wb") as full:
                done = subprocess.run([TIDAL, *words], stdout=full, stderr=subprocess.PIPE,
                                      timeout=TIMEOUT)
            self.assertEqual(done.returncode, 1, words)
            self.assertIn(b"standard output: No space left on device", done.stderr)
        done = subprocess.run([TIDAL, *GENERATE], stderr=subprocess.PIPE, timeout=TIMEOUT,
                              preexec_fn=lambda: os.close(1))
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"standard output: Bad file descriptor", done.stderr)

    def test_a_result_nobody_reads_ends_quietly(self):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run([TIDAL, "inspect", MODEL], stdout=writing, stderr=subprocess.PIPE,
                              timeout=TIMEOUT)
        os.close(writing)
        self.assertEqual(done.returncode, -signal.SIGPIPE)
        self.assertEqual(done.stderr, b"")


if __name__ == "__main__":
    unittest.main()
