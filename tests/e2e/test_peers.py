"""scripts/bench-peers, with a program that plays the peer."""

import json
import pathlib
import subprocess
import sys
import unittest

from support import MODEL, TIDAL, Case

ROOT = pathlib.Path(__file__).resolve().parents[2]
PEER = """#!/bin/sh
case "$1" in
*llama_cpp_bench.py)
  echo '{"test": "pp", "tokens": 16, "ms": [300, 100, 200]}'
  echo '{"test": "tg", "depth": 32, "ms": [10, 40]}'
  echo '{"test": "tg", "depth": 64, "ms": [60, 60]}' ;;
*) exit 1 ;;
esac
"""


class Peers(Case):
    def test_table_and_json_hold_both(self):
        peer = self.folder / "peer"
        peer.write_text(PEER)
        peer.chmod(0o755)
        out = self.folder / "out"
        done = subprocess.run(
            [sys.executable, "-B", ROOT / "scripts/bench-peers", "-m", MODEL, "-d", "32,64", "-p",
             "16", "-n", "2", "-r", "2", "-t", "1", "--peer", peer, "--tidal", TIDAL, "-o", out],
            capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        got = json.loads((out / "peers.json").read_text())
        rows = {(row["test"], row["method"]): row for row in got["rows"]}
        self.assertEqual(set(rows), {(test, method) for test in ("tg2 @ d32", "tg2 @ d64")
                                     for method in ("full", "tidal", "llama.cpp")}
                         | {("pp16", "full"), ("pp16", "llama.cpp")})
        self.assertEqual(rows["tg2 @ d32", "llama.cpp"]["ms_median"], 25)
        self.assertEqual(rows["pp16", "llama.cpp"]["tok_s"], 1000 * 16 / 200)
        ours = rows["tg2 @ d64", "tidal"]
        self.assertAlmostEqual(ours["speedup_vs_llama_cpp"], 60 / ours["ms_median"])
        table = (out / "peers.md").read_text()
        self.assertEqual(done.stdout, table)
        self.assertIn("| tg2 @ d64 | 60.00 | ", table)
        self.assertIn("2 rounds", table)

    def test_a_missing_program_is_named(self):
        done = subprocess.run([sys.executable, "-B", ROOT / "scripts/bench-peers", "-m", MODEL,
                               "--peer", sys.executable, "--tidal", "/no/tidal"],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("/no/tidal", done.stderr)


if __name__ == "__main__":
    unittest.main()
