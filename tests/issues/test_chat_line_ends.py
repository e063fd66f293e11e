"""Lines that end in \\r\\n reached the model with their \\r, and a blank one was a message."""

import json
import unittest

from support import MODEL, Case


class ChatLineEnds(Case):
    def chat(self, lines):
        out = self.good("chat", "-m", MODEL, "-n", "3", "--json", stdin=lines).out
        return [json.loads(line) for line in out.splitlines()]

    def test_both_ends_are_the_same(self):
        for lines in ("hi\n\n/exit\n", "hi\nyes\n", "hi\n/clear\nhi", "hi\n/budget 64\nhi\n"):
            plain, other = self.chat(lines), self.chat(lines.replace("\n", "\r\n"))
            self.assertEqual([line["tokens"] for line in plain], [line["tokens"] for line in other])
            self.assertEqual([line["prompt_tokens"] for line in plain],
                             [line["prompt_tokens"] for line in other])

    def test_a_carriage_return_inside_stays(self):
        self.assertEqual(self.chat("h\ri\n")[0]["prompt_tokens"],
                         self.chat("hi\n")[0]["prompt_tokens"] + 1)


if __name__ == "__main__":
    unittest.main()
