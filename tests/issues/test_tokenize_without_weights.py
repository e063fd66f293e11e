"""`tokenize` loaded the whole model: files that hold a vocabulary only, and models that the engine
cannot run, were refused."""

import shutil
import struct
import unittest

from gguf_edit import Gguf
from support import DATA, MODEL, Case


class TokenizeWithoutWeights(Case):
    def check(self, model):
        expected = self.good("tokenize", MODEL, stdin="hello").out
        self.assertEqual(self.good("tokenize", model, stdin="hello").out, expected)
        self.assertEqual(self.good("tokenize", model, "--decode", stdin=expected).out, "hello")

    def test_a_vocabulary_only(self):
        raw = bytearray(MODEL.read_bytes()[: Gguf(MODEL.read_bytes()).header_end])
        struct.pack_into("<Q", raw, 8, 0)  # no tensors
        self.check(self.write("vocabulary.gguf", bytes(raw)))

    def test_another_architecture(self):
        self.check(self.write("m.gguf", MODEL.read_bytes().replace(b"llama", b"mamba")))

    def test_a_tensor_type_that_is_not_known(self):
        raw = bytearray(MODEL.read_bytes())
        name = b"token_embd.weight"
        at = raw.index(name) + len(name)
        n_dimensions, = struct.unpack_from("<I", raw, at)
        struct.pack_into("<I", raw, at + 4 + 8 * n_dimensions, 99)
        path = self.write("m.gguf", bytes(raw))
        self.fails("inspect", path, says=["token_embd.weight", "99"])
        self.check(path)

    def test_a_file_without_its_data(self):
        raw = MODEL.read_bytes()
        self.check(self.write("m.gguf", raw[: Gguf(raw).header_end]))

    def test_a_folder_with_a_tokenizer_only(self):
        folder = self.folder / "model"
        folder.mkdir()
        shutil.copy(DATA / "text/tiny_bpe_tokenizer.json", folder / "tokenizer.json")
        ids = self.good("tokenize", folder, stdin="hello world").out
        text = self.good("tokenize", folder, "--decode", stdin=ids).out
        self.assertEqual(text, "<|begin|>hello world")
        (folder / "tokenizer.json").unlink()
        self.fails("tokenize", folder, says=["tokenizer.json"])


if __name__ == "__main__":
    unittest.main()
