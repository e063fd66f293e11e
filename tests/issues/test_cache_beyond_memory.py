"""`bench` filled a cache deeper than the machine's memory until the kernel ended a process."""

import pathlib
import re
import unittest

from support import MODEL, Case

BYTES_PER_TOKEN = 512


class CacheBeyondMemory(Case):
    def setUp(self):
        super().setUp()
        meminfo = pathlib.Path("/proc/meminfo").read_text()
        kib = sum(int(re.search(rf"{name}:\s+(\d+) kB", meminfo)[1])
                  for name in ("MemTotal", "SwapTotal"))
        self.too_deep = 2 * kib * 1024 // BYTES_PER_TOKEN
        if self.too_deep > 2**31 - 100:
            self.skipTest("this machine's memory holds any cache of the test model")

    def test_bench(self):
        self.fails("bench", "-m", MODEL, "-d", self.too_deep, "-p", "0", "-n", "1",
                   says=["KV cache", "GiB of memory is free", "lower -d"])
        self.fails("bench", "-m", MODEL, "-d", self.too_deep // 64, "--batch", "64", "-p", "0",
                   "-n", "1", says=["KV cache", "--batch"])


if __name__ == "__main__":
    unittest.main()
