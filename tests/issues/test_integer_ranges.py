"""Large numbers were read as doubles, clamped and added to: `-n 9223372036854775807` asked for a context
of -9223372036854774780."""

import unittest

from support import MODEL, Case, tidal

INT32_MAX = 2**31 - 1
TOO_LARGE = (2**31, 2**63 - 1, 2**63, 2**64, 99999999999999999999)
MALFORMED = ("", "x", "1.5", "1e3", "+5", " 5", "5 ", "0x10", "-5", "5k")

FLAGS = {
    ("generate", "-p", "hi"): ["-n", "--top-k", "-c", "-t", "--min-context", "--correct-every",
                               "--yarn-orig-ctx"],
    ("bench",): ["-d", "-p", "-n", "-r", "--batch"],
    ("eval", "ppl", "-f", "x"): ["--prefill", "--max-tokens", "--skip"],
    ("eval", "needle"): ["--lengths", "--depths", "--prompts"],
    ("eval", "recall", "-f", "x"): ["--context", "--skip", "--samples", "--budget"],
    ("calibrate", "-f", "x", "-o", "y"): ["--select", "--context", "--candidates"],
}
SEEDS = {("generate", "-p", "hi"): "-s", ("bench",): "--seed", ("eval", "needle"): "-s",
         ("calibrate", "-f", "x", "-o", "y"): "--seed"}


class IntegerRanges(Case):
    def test_every_flag_names_itself_and_its_range(self):
        for command, flags in FLAGS.items():
            for flag in flags:
                for value in TOO_LARGE:
                    self.misused(*command, "-m", MODEL, flag, value,
                                 says=[flag.lstrip("-"), str(value), "whole number from"])

    def test_nothing_else_is_a_whole_number(self):
        for value in MALFORMED:
            self.misused("generate", "-m", MODEL, "-p", "hi", f"--predict={value}",
                         says=["--predict"])
            self.misused("bench", "-m", MODEL, f"--depths={value}", says=["--depths"])

    def test_seeds(self):
        for command, flag in SEEDS.items():
            for value in (-1, 2**63, 2**64):
                self.misused(*command, "-m", MODEL, f"{flag}={value}" if "--" in flag else flag,
                             *([] if "--" in flag else [value]), says=["seed"])
        self.good("generate", "-m", MODEL, "-p", "hi", "-n", "1", "-s", 2**63 - 1)

    def test_the_largest_count_that_is_taken(self):
        result = tidal("generate", "-m", MODEL, "-p", "hi", "-n", INT32_MAX, "-c", "100")
        self.assertEqual(result.status, 1, result)
        self.assertIn("2147483647 are to be generated", result.err)
        self.good("generate", "-m", MODEL, "-p", "hi", "-n", "-1", "-c", "100")

    def test_numbers_that_no_float_holds(self):
        for flag in ("--temp", "--rope-freq-base", "--rope-scale"):
            for value in ("1e39", "1e400", "nan", "inf"):
                self.misused("generate", "-m", MODEL, "-p", "hi", flag, value, says=[flag])
        self.misused("generate", "-m", MODEL, "-p", "hi", "--top-p", "1e-60", says=["--top-p"])


if __name__ == "__main__":
    unittest.main()
