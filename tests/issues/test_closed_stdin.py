"""With standard input closed, `chat` waited for good: a descriptor of its own took the place."""

import os
import subprocess
import unittest

from support import MODEL, TIDAL, TIMEOUT, Case


class ClosedStdin(Case):
    def run_without(self, descriptors, *words):
        def close():
            for descriptor in descriptors:
                os.close(descriptor)
        return subprocess.run([TIDAL, *map(str, words)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT,
                              preexec_fn=close)

    def test_chat_ends_at_once(self):
        done = self.run_without([0], "chat", "-m", MODEL, "-n", "3")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, b"")

    def test_nothing_is_read(self):
        done = self.run_without([0], "tokenize", MODEL, "--json", "--no-bos")
        self.assertEqual(done.stdout, b'{"tokens":[],"count":0}\n')

    def test_all_three(self):
        self.assertEqual(self.run_without([0, 1, 2], "inspect", MODEL).returncode, 1)
        self.assertEqual(self.run_without([0, 2], "inspect", MODEL).returncode, 0)


if __name__ == "__main__":
    unittest.main()
