"""Roles and end tokens: null, -1, absent or unknown means none, with a warning that names the file
where an unknown one stands; config.json is the last source of the end token."""

import hf_folder
import support


class TokenRoles(support.Case):
    def tokens(self, **files):
        self.count = getattr(self, "count", 0) + 1
        self.model = hf_folder.write_model(self.folder / f"m{self.count}", **files)
        result = self.good("tokenize", self.model, stdin="hi")
        self.assertEqual(result.out, "104 105\n")
        return result.err

    def warns(self, *parts, **files):
        err = self.tokens(**files)
        self.assertRegex(err, r"\Awarning: [^\n]+\n\Z")
        for part in parts:
            self.assertIn(part, err)

    def finish(self, **files):
        self.tokens(**files)
        result = self.good_json("generate", "-m", self.model, "-p", "hi", "-n", "3", "-t", "1")
        return result["finish_reason"]

    def test_a_role_that_names_no_token_is_none(self):
        for role in ("bos_token", "eos_token", "pad_token"):
            for name in ("[PAD]", {"content": "[PAD]"}):
                self.warns(f"/tokenizer_config.json: {role}", "[PAD]", tokenizer_config={role: name})
            self.warns(f"/tokenizer_config.json: {role}", tokenizer_config={role: 7})
            self.assertEqual(self.tokens(tokenizer_config={role: None}), "")

    def test_an_unknown_token_that_is_none_of_the_vocabulary_is_none(self):
        tokens = hf_folder.tokenizer()
        tokens["pre_tokenizer"] = None
        tokens["decoder"] = None
        tokens["normalizer"] = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
        tokens["model"].update(unk_token="<nonesuch>", merges=["a b"])
        tokens["model"]["vocab"]["ab"] = 260
        self.warns("/tokenizer.json: model: unk_token", "nonesuch", tokens=tokens, vocab_size=261)

    def test_generation_config_may_say_none(self):
        for none in (None, -1, [], [None], [-1, None]):
            self.assertEqual(self.tokens(generation={"eos_token_id": none}), "", none)
        self.assertEqual(self.tokens(generation={}), "")

    def test_an_unknown_end_token_is_ignored_with_a_warning(self):
        for unknown in (260, 4294967296, -7, 1.5, "257", {"a": 1}, 10**30, True):
            for value in (unknown, [unknown]):
                self.warns("/generation_config.json: eos_token_id", generation={"eos_token_id": value})
        self.assertEqual(self.finish(generation={"eos_token_id": [300, 90]}), "stop")

    def test_config_json_is_the_last_source(self):
        end, other, none = ({"eos_token_id": value} for value in (90, 91, None))
        self.assertEqual(self.finish(), "length")
        self.assertEqual(self.finish(config=end), "stop")
        self.assertEqual(self.finish(config={"eos_token_id": [91, 90]}), "stop")
        self.assertEqual(self.finish(config={"text_config": end}), "stop")
        self.assertEqual(self.finish(config=end, generation={}), "stop")
        self.assertEqual(self.finish(config=end, generation=none), "stop")
        self.assertEqual(self.finish(config=end, generation=other), "length")
        self.assertEqual(self.finish(config=end, tokenizer_config={"eos_token": "</s>"}), "stop")
        self.assertEqual(self.finish(config=none), "length")
        self.warns("/config.json: eos_token_id", config={"eos_token_id": 999})


if __name__ == "__main__":
    support.unittest.main()
