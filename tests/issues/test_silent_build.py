"""scripts/demo was silent for the minutes that its build takes."""

import os
import pathlib
import pty
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

# Says what ninja says where it cannot redraw a line.
CMAKE = """#!/usr/bin/env bash
if [[ $1 == --preset ]]; then exit; fi
for i in 1 2 3; do
  status=${NINJA_STATUS/\\%f/$i}
  echo "${status/\\%t/3}step $i"
  sleep "$STEP_SECONDS"
done
exit "$BUILD_STATUS"
"""


class SilentBuild(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="tidal-issues-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "scripts").mkdir()
        (self.folder / "bin").mkdir()
        shutil.copy(ROOT / "scripts/build", self.folder / "scripts/build")
        self.program("scripts/install-packages", "#!/bin/sh\n")
        self.program("bin/cmake", CMAKE)

    def program(self, name, text):
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)

    def build(self, status=0, step=0.6, **options):
        environment = {**os.environ, "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
                       "BUILD_REPORT_SECONDS": "0.5", "BUILD_STATUS": str(status),
                       "STEP_SECONDS": str(step)}
        return subprocess.run([self.folder / "scripts/build", "release"], env=environment,
                              timeout=60, **options)

    def test_a_log_gets_a_line_now_and_then(self):
        done = self.build(stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 0)
        lines = done.stderr.splitlines()
        self.assertEqual(lines[0], "configuring build/release")
        self.assertGreaterEqual(len(lines), 3, lines)
        for line in lines[1:]:
            self.assertRegex(line, r"\Abuilding release \[[123]/3\]\Z")

    def test_a_quick_build_says_little(self):
        done = self.build(step=0, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.stderr, "configuring build/release\n")

    def test_a_terminal_gets_all_that_ninja_says(self):
        screen, terminal = pty.openpty()
        self.addCleanup(os.close, screen)
        self.build(step=0, stderr=terminal)
        os.close(terminal)
        self.assertIn(b"building release [3/3] step 3", os.read(screen, 65536))

    def test_a_failure_shows_the_whole_log(self):
        done = self.build(status=1, step=0, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("[2/3] step 2\n", done.stderr)


if __name__ == "__main__":
    unittest.main()
