"""Output files: a device given to `eval -o` was read for good, `calibrate -o` put a regular file in the
place of links, pipes and devices, and what cannot be written was found out after the work."""

import json
import os
import subprocess
import time
import unittest

from support import MODEL, TIDAL, TIMEOUT, Case

TEXT = "".join(f"The {i}th wave came in and the {i * 7}th went out. " for i in range(200))


class ResultLog(Case):
    def setUp(self):
        super().setUp()
        text = self.write("text.txt", TEXT[:400])
        self.words = ["eval", "kld", "-m", MODEL, "-f", text, "--prefill", "10"]

    def test_devices_are_written_to_and_never_read(self):
        expected = self.good(*self.words).out
        self.assertEqual(self.good(*self.words, "-o", "/dev/null").out, expected)
        self.assertEqual(self.good(*self.words, "-o", "/dev/zero").out, expected)
        self.fails(*self.words, "-o", "/dev/full", says=["/dev/full", "No space left"])

    def test_standard_output(self):
        lines = self.good(*self.words, "-o", "/dev/stdout", "--json").out.splitlines()
        self.assertEqual(len(lines), 3)
        self.assertIn("settings", json.loads(lines[0]))
        self.assertIn("unit", json.loads(lines[1]))
        self.assertIn("kld", json.loads(lines[2]))
        path = self.folder / "out.txt"
        with path.open("wb") as file:  # a regular file, which is not read either
            done = subprocess.run([TIDAL, *map(str, self.words), "-o", "/dev/stdout", "--json"],
                                  stdout=file, timeout=TIMEOUT)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(len(path.read_text().splitlines()), 3)

    def test_regular_files_behind_links_are_gone_on_with(self):
        link = self.folder / "link.jsonl"
        link.symlink_to("log.jsonl")
        expected = self.good(*self.words, "-o", link).out
        before = (self.folder / "log.jsonl").read_text()
        self.assertEqual(self.good(*self.words, "-o", link).out, expected)
        self.assertEqual((self.folder / "log.jsonl").read_text(), before)


class Calibrate(Case):
    def setUp(self):
        super().setUp()
        text = self.write("text.txt", TEXT)
        self.words = ["calibrate", "-m", MODEL, "-f", text, "--context", "512", "--budget", "64",
                      "--candidates", "1", "--select", "1"]

    def test_the_target_of_a_link_is_replaced(self):
        target = self.write("target.json", "old")
        link = self.folder / "link.json"
        link.symlink_to("target.json")
        self.good(*self.words, "-o", link)
        self.assertTrue(link.is_symlink())
        self.assertIn("calibration", json.loads(target.read_text()))

    def test_a_pipe_is_written_to(self):
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
            self.good(*self.words, "-o", pipe)
            self.assertIn("calibration", json.loads(reader.communicate(timeout=TIMEOUT)[0]))
        self.assertTrue(pipe.is_fifo())
        start = time.monotonic()
        self.fails(*self.words, "-o", pipe, says=["pipe", "nobody reads"])
        self.assertLess(time.monotonic() - start, 60)

    def test_devices_stay_devices(self):
        device = os.stat("/dev/null").st_rdev
        self.good(*self.words, "-o", "/dev/null")
        self.assertEqual(os.stat("/dev/null").st_rdev, device)
        result = self.good(*self.words, "-o", "/dev/stdout")
        self.assertIn('"calibration"', result.out)

    def test_what_cannot_be_written_is_found_out_before_the_work(self):
        for path in (self.folder, self.folder / "none/plan.json"):
            self.fails("calibrate", "-m", "/nowhere", "-f", "/nowhere", "-o", path,
                       says=["cannot write", str(path)])
            self.fails("eval", "ppl", "-m", "/nowhere", "-f", "/nowhere", "--per-token", path,
                       says=["cannot write", str(path)])


class PerToken(Case):
    def setUp(self):
        super().setUp()
        text = self.write("text.txt", TEXT[:200])
        self.words = ["eval", "ppl", "-m", MODEL, "-f", text, "--prefill", "100"]

    def test_the_result_is_not_lost_with_the_file(self):
        result = subprocess.run([TIDAL, *map(str, self.words), "--per-token", "/dev/full"],
                                capture_output=True, text=True, timeout=TIMEOUT)
        self.assertEqual(result.returncode, 1)
        self.assertIn("perplexity", result.stdout)
        self.assertIn("error: cannot write /dev/full", result.stderr)

    def test_an_old_file_stays_until_there_is_a_new_one(self):
        scores = self.write("scores.jsonl", "old")
        self.fails(*self.words, "--max-tokens", "100000", "--per-token", scores, says=["tokens"])
        self.assertEqual(scores.read_text(), "old")
        self.good(*self.words, "--per-token", scores)
        self.assertEqual(len(scores.read_text().splitlines()), 100)


if __name__ == "__main__":
    unittest.main()
