"""tidal calibrate: a plan file that the other commands use, or a clear error and no file."""

import json
import unittest

from support import MODEL, Case, Running

TEXT = "".join(f"word{i * i % 97} and {'so' * (i % 5)} on. " for i in range(400))


class Calibrate(Case):
    def setUp(self):
        super().setUp()
        self.text = self.write("book.txt", TEXT)
        self.plan = self.folder / "plan.json"

    def words(self, **changes):
        flags = {"model": MODEL, "file": self.text, "output": self.plan, "context": 512,
                 "budget": 48, "full": "0", "select": 2} | changes
        return ("calibrate", *(word for name, value in flags.items() if value is not None
                               for word in ("--" + name, value)))

    def no_plan(self):
        self.assertEqual([p.name for p in self.folder.iterdir() if "plan" in p.name], [])

    def test_writes_a_plan_with_its_figures(self):
        got = self.good_json(*self.words())
        file = json.loads(self.plan.read_text())
        self.assertEqual(file["plan"], got["plan"])
        self.assertRegex(file["plan"], r"\Afull:0 select:1(,[23]|-2) budget:512 scope:all ")
        figures = file["calibration"]
        self.assertEqual(figures["text"], "book.txt")
        self.assertEqual((figures["context"], figures["budget"]), (512, "48"))
        self.assertEqual((figures["seed"], figures["compared"]), (1, 2))
        scores = [c["score"] for c in figures["candidates"]]
        self.assertEqual(scores, sorted(scores))
        self.assertEqual(self.good_json(*self.words()), got, "one seed, one plan")
        text = self.good(*self.words())
        self.assertIn(file["plan"], text.out)
        self.assertIn(str(self.plan), text.out)

    def test_a_plan_beside_the_model_is_used(self):
        model = self.write("m.gguf", MODEL.read_bytes())
        beside = self.folder / "m.plan.json"
        self.good(*self.words(output=beside))
        line = json.loads(beside.read_text())["plan"]
        words = ("generate", "-m", model, "-p", "a " * 100, "-n", "3", "--min-context", "0")
        self.assertEqual(self.good_json(*words)["plan"], line)
        given = self.good_json("generate", "-m", MODEL, *words[3:], "--plan", beside)
        self.assertEqual(given["plan"], line)
        self.assertIn(line, self.good("inspect", model).out)
        bench = self.good_json("bench", "-m", model, "-d", "300", "-p", "0", "-n", "1",
                               "--method", "tidal", "--min-context", "0")
        self.assertEqual(bench["rows"][0]["plan"], line)

    def test_a_users_prompts(self):
        prompts = self.write("p.jsonl", "".join(
            json.dumps({"prompt": f"the word is {i}. " * 20, "answer": f"{i}"}) + "\n"
            for i in range(4)))
        figures = self.good_json(*self.words(prompts=prompts))["calibration"]
        self.assertEqual((figures["prompts"], figures["questions"]), ("p.jsonl", 2))
        self.fails(*self.words(prompts=self.write("one", '{"prompt":"a","answer":"b"}')),
                   says=["1 prompts", "at least 2"])
        self.fails(*self.words(prompts=self.write("bad", "hello")), says=["bad line 1"])

    def test_bad_input(self):
        self.misused(*self.words(file=None), says=["-f FILE"])
        self.misused(*self.words(output=None), says=["-o"])
        self.misused(*self.words(select="0"), says=["--select"])
        self.fails(*self.words(select="4"), says=["--select 4", "3 layers"])
        self.fails(*self.words(full="0,9"), says=["layer 9", "4 layers"])
        self.fails(*self.words(full="x"), says=["full:x"])
        self.fails(*self.words(budget="400"), says=["--budget 400", "--context 512"])
        self.fails(*self.words(budget="10"), says=["sinks + recent + 1"])
        self.fails(*self.words(context="4096"), says=["--context 4096", "2048"])
        self.fails(*self.words(file=self.write("short", TEXT[:2000])), says=["2000", "3072"])
        self.fails(*self.words(file=self.write("solid", "x" * 4000)), says=["words"])
        other = {"tidal_plan": 1, "model": {"layers": 30, "heads": 9, "kv_heads": 3},
                 "plan": "full:0-1 select:2"}
        self.fails(*self.words(plan=self.write("other.json", json.dumps(other))),
                   says=["another model"])
        self.no_plan()
        self.fails(*self.words(output=self.folder / "no" / "plan.json"), says=["cannot write"])

    def test_an_interrupt_writes_nothing(self):
        with Running(*self.words(backend="reference")) as run:
            run.interrupt()
            result = run.end()
        self.assertEqual((result.status, result.out), (130, ""), result)
        self.assertIn("nothing is written", result.err)
        self.no_plan()


if __name__ == "__main__":
    unittest.main()
