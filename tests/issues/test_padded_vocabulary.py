"""A model may have more logits than its tokenizer has tokens: such an id is empty text."""

import hf_folder
import support


class PaddedVocabulary(support.Case):
    def test_ids_without_a_token_are_empty_text(self):
        model = hf_folder.write_model(self.folder / "m", says=466, vocab_size=660)
        result = self.good_json("generate", "-m", model, "-p", "hi", "-n", "5", "-t", "1")
        self.assertEqual(result["tokens"], [466] * 5)
        self.assertEqual(result["text"], "")
        self.assertEqual(result["finish_reason"], "length")
        # An id that somebody types is another matter.
        self.fails("tokenize", model, "--decode", stdin="104 466", says=["466", "260 tokens"])


if __name__ == "__main__":
    support.unittest.main()
