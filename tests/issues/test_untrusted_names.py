"""A model's name was printed as the file has it: escape sequences reached the terminal, and a second
line broke tables."""

import csv
import io
import unittest

from gguf_edit import with_string
from support import MODEL, Case

NAME = b"a\x1b]0;title\x07\x1b[31m|b\nsecond line\xff\xc2\x9b32m"
CONTROLS = [*range(0x20), 0x7f]


class UntrustedNames(Case):
    def setUp(self):
        super().setUp()
        self.model = self.write("m.gguf", with_string(MODEL.read_bytes(), "general.name", NAME))

    def check_printable(self, raw):
        text = raw.decode()  # strict: no stray bytes
        for c in text.replace("\n", ""):
            self.assertFalse(ord(c) < 0x20 or 0x7f <= ord(c) < 0xa0, repr(text[:300]))

    def test_inspect(self):
        result = self.good("inspect", self.model)
        self.check_printable(result.out_bytes)
        self.assertIn(r"\x1b[31m|b\nsecond line\xff", result.out)
        self.assertEqual(self.good("inspect", MODEL).out.count("\n"), result.out.count("\n"))

    def test_chat_and_warnings(self):
        result = self.good("chat", "-m", self.model, "-n", "2", "-c", "4096", "-v", stdin="hi\n")
        self.check_printable(result.err.encode())
        self.assertRegex(result.err, r"4096 tokens are more than .*\\x1b\[31m")  # the warning
        self.assertRegex(result.err, r"\\x1b\[31m.*tokens of context")  # the banner

    def test_generate(self):
        result = self.good("generate", "-m", self.model, "-p", "a", "-n", "1", "-v")
        self.check_printable(result.err.encode())
        self.assertIn(r"\x1b[31m", result.err)

    def test_tables(self):
        words = ["bench", "-m", self.model, "-d", "0", "-p", "0", "-n", "1"]
        table = self.good(*words, "-o", "csv").out_bytes
        self.check_printable(table)
        rows = list(csv.reader(io.StringIO(table.decode())))
        self.assertEqual(len(table.splitlines()), 3)
        self.assertEqual({len(row) for row in rows}, {len(rows[0])})
        table = self.good(*words, "-o", "md").out_bytes
        self.check_printable(table)
        lines = table.decode().replace(r"\|", "").splitlines()
        self.assertEqual(len(lines), 4)
        self.assertEqual({line.count("|") for line in lines}, {lines[0].count("|")})

    def test_json_has_the_name_itself(self):
        name = self.good_json("inspect", self.model)["name"]
        self.assertEqual(name, NAME.decode("utf-8", "replace"))


if __name__ == "__main__":
    unittest.main()
