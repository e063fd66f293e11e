"""Models that are not there, not models, cut off or corrupt: an error that helps, never a crash."""

import os
import pathlib
import random
import shutil
import subprocess
import unittest

from support import DATA, DEFAULT_MODEL, MODEL, Case, tidal

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Missing(Case):
    def test_no_model_at_all_says_how_to_get_one(self):
        for command in (("generate", "-p", "a"), ("inspect",), ("tokenize",), ("chat",),
                        ("eval", "ppl", "-f", MODEL), ("bench",)):
            with self.subTest(command):
                environment = {"XDG_CACHE_HOME": str(self.folder)}
                self.fails(*command, env=environment,
                           says=[str(self.folder), "scripts/get-model", "-m"])

    def test_a_path_that_is_not_there(self):
        path = self.folder / "none.gguf"
        for command in (("generate", "-p", "a", "-m"), ("inspect",), ("tokenize",), ("chat", "-m"),
                        ("eval", "ppl", "-f", MODEL, "-m"), ("bench", "-m")):
            with self.subTest(command):
                self.fails(*command, path, says=[str(path), "scripts/get-model"])


@unittest.skipUnless(DEFAULT_MODEL.exists(), f"{DEFAULT_MODEL} is absent: run scripts/get-model")
class GetModel(Case):
    def test_the_plan_comes_along_and_never_replaces_another(self):
        cache = self.folder / "tidal"
        cache.mkdir()
        (cache / DEFAULT_MODEL.name).symlink_to(DEFAULT_MODEL)  # whole, so nothing is downloaded
        plan = (cache / DEFAULT_MODEL.name).with_suffix(".plan.json")

        def get():
            result = subprocess.run([ROOT / "scripts" / "get-model"], text=True, check=True,
                                    env={**os.environ, "XDG_CACHE_HOME": str(self.folder)},
                                    capture_output=True)
            self.assertEqual(result.stdout.strip(), str(cache / DEFAULT_MODEL.name))
            return result.stderr

        self.assertEqual(get(), "")
        self.assertEqual(plan.read_bytes(), (ROOT / "models" / plan.name).read_bytes())
        self.assertEqual(get(), "")
        plan.write_text("{}")
        self.assertIn(f"{plan} is not the plan of this version", get())
        self.assertEqual(plan.read_text(), "{}")


class Garbage(Case):
    def fails_everywhere(self, path, *says):
        self.fails("generate", "-m", path, "-p", "a", "-n", "2", says=[path.name, *says])
        self.fails("inspect", path, says=[path.name, *says])
        self.fails("tokenize", path, stdin="a", says=[path.name, *says])

    def test_files_of_other_kinds(self):
        self.fails_everywhere(self.write("empty.gguf", ""), "empty")
        self.fails_everywhere(self.write("notes.gguf", "These are notes.\n" * 50), "not a GGUF")
        self.fails_everywhere(self.write("bytes.gguf", random.Random(1).randbytes(5000)))
        self.fails_everywhere(self.write("magic.gguf", "GGUF"), "get it again")
        self.fails_everywhere(self.write("zeros.gguf", b"GGUF\x03\0\0\0" + bytes(2000)))
        self.fails_everywhere(self.write("ones.gguf", b"GGUF\x03\0\0\0" + b"\xff" * 2000))
        self.fails_everywhere(self.write("old.gguf", b"GGUF\x01\0\0\0" + bytes(100)))

    def test_a_name_with_control_characters_stays_one_harmless_line(self):
        path = self.write("two\nlines\x1b[31m.gguf", "text")
        result = tidal("inspect", path)
        self.refused(result, 1, "two\\nlines\\x1b[31m.gguf")

    def test_folders(self):
        empty = self.folder / "empty"
        empty.mkdir()
        self.fails("inspect", empty, says=["config.json"])
        for name, content in (("text", "no json"), ("list", "[]"), ("bare", "{}"),
                              ("bytes", b"\xff\xfe\x00"), ("deep", "[" * 100000)):
            folder = self.folder / name
            folder.mkdir()
            (folder / "config.json").write_bytes(
                content if isinstance(content, bytes) else content.encode())
            self.fails("generate", "-m", folder, "-p", "a", says=[name])
        folder = self.folder / "cut"
        shutil.copytree(DATA / "models" / "qwen3", folder)
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:5000])
        self.fails("generate", "-m", folder, "-p", "a", says=["cut"])

    @unittest.skipIf(os.name != "posix" or os.geteuid() == 0, "root may read everything")
    def test_no_permission(self):
        path = self.write("locked.gguf", MODEL.read_bytes())
        path.chmod(0)
        self.fails_everywhere(path, "ermission")

    def test_cut_in_the_middle(self):
        whole = MODEL.read_bytes()  # its last 32 bytes may be padding
        chance = random.Random(7)
        cuts = {1, 4, 8, 16, 24, 32, 100, len(whole) - 33, len(whole) // 2}
        cuts |= {chance.randrange(len(whole) - 33) for _ in range(25)}
        cuts |= {chance.randrange(8000) for _ in range(15)}  # in the metadata
        for cut in sorted(cuts):
            path = self.write("cut.gguf", whole[:cut])
            with self.subTest(cut):
                self.fails("generate", "-m", path, "-p", "a", "-n", "2", says=["cut.gguf"])

    def test_bits_flipped(self):
        """Where the file still reads as a model it runs, if only to no numbers; it never crashes."""
        whole = MODEL.read_bytes()
        chance = random.Random(11)
        refused = 0
        for i in range(60):
            bad = bytearray(whole)
            for _ in range(chance.choice((1, 3, 30))):
                bad[chance.randrange(8000 if i % 3 else len(bad))] ^= 1 << chance.randrange(8)
            path = self.write("bad.gguf", bad)
            result = tidal("generate", "-m", path, "-p", "a", "-n", "2", "--json")
            with self.subTest(i):
                if result.out:
                    damaged = result.json()["finish_reason"] == "error"
                    self.assertEqual(result.status, 1 if damaged else 0, result)
                    if damaged:
                        self.assertIn("bad.gguf gave logits that are not numbers", result.err)
                else:
                    refused += 1
                    self.refused(result, 1, "bad.gguf")
        self.assertGreater(refused, 10)

    def test_weights_that_are_no_numbers(self):
        whole = MODEL.read_bytes()
        path = self.write("nan.gguf", whole[:-150000] + b"\xff" * 150000)
        for words in ((), ("--temp", "0"), ("--top-k", "0")):
            result = tidal("generate", "-m", path, "-p", "abc", "-n", "8", "--json", *words)
            self.assertIn(result.status, (0, 1), result)


if __name__ == "__main__":
    unittest.main()
