"""-DTIDAL_CUDA=ON and the preset `cuda` built a CPU program without a word."""

import json
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class CudaOption(unittest.TestCase):
    def test_asking_for_a_back_end_that_is_not_there_is_an_error(self):
        with tempfile.TemporaryDirectory(prefix="tidal-issues-") as build:
            done = subprocess.run(["cmake", "-S", ROOT, "-B", build, "-DTIDAL_CUDA=ON"],
                                  capture_output=True, text=True, timeout=120)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no CUDA back end", done.stderr)

    def test_no_preset_does(self):
        presets = json.loads((ROOT / "CMakePresets.json").read_text())
        for preset in presets["configurePresets"]:
            self.assertNotIn("TIDAL_CUDA", preset.get("cacheVariables", {}), preset)


if __name__ == "__main__":
    unittest.main()
