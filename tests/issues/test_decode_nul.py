"""`tokenize --decode` dropped all ids behind a NUL byte."""

import unittest

from support import MODEL, Case


class DecodeNul(Case):
    def test_nothing_is_dropped(self):
        for ids in (b"104 105\0 104 105", b"\0", b"104\0", b"104 \x00105"):
            self.fails("tokenize", MODEL, "--decode", stdin=ids, says=["is not a token id"])

    def test_numbers_are_taken_as_they_are(self):
        for ids in ("+5", "0x10", "1e2", "99999999999999999999"):
            self.fails("tokenize", MODEL, "--decode", stdin=ids, says=["is not a token id"])


if __name__ == "__main__":
    unittest.main()
