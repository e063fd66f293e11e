"""tidal serve and requests that mean it harm: text that would be code, names that would be paths."""

import json
import threading
import time
import unittest

from support import MODEL, TIMEOUT, Case, Server


class Hostile(Case):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("-c", 512, "-v")
        cls.addClassCleanup(cls.server.__exit__)

    def prompt(self, text, **more):
        return self.server.post("/apply-template", messages=[{"role": "user", "content": text}],
                                **more)["prompt"]

    def test_messages_are_no_templates(self):
        for text in ("{{ 7 * 191 }}", "{% for x in range(99999) %}{% endfor %}", "{{",
                     "{{ messages.__class__.__mro__ }}", "{% raw %}{{ raise_exception('x') }}"):
            self.assertIn(text, self.prompt(text))
            self.prompt("x", chat_template_kwargs={"date_string": text})
        for name in ("chat_template", "template"):  # templates come from the one who starts it
            self.assertNotIn("1337", self.prompt("x", **{name: "{{ 7 * 191 }}"}))

    def test_logs_keep_to_their_lines(self):
        name = "evil\nerror: \x1b[31mforged\r\x07"
        self.server.post("/v1/completions", prompt="x", max_tokens=1, **{name: 1})
        end = time.monotonic() + TIMEOUT
        while not any("evil" in line for line in self.server.log) and time.monotonic() < end:
            time.sleep(0.01)
        [line] = [line for line in self.server.log if "evil" in line or "forged" in line]
        self.assertIn("forged", line)
        self.assertTrue(line.rstrip("\n").isprintable(), line)

    def test_names_are_no_paths(self):
        for path in ("/v1/models/../../../etc/passwd", "/v1/models/..%2f..%2fetc%2fpasswd",
                     "/v1/models/%00", "/etc/passwd", "/../../etc/passwd", "//etc/passwd",
                     "/v1//models", "/%2e%2e/props"):
            status, reply, _ = self.server.send("GET", path)
            self.assertEqual(status, 404, path)
            self.assertEqual(reply["error"]["type"], "not_found_error")
        for query in ("action=save", "action=restore", "action=save&filename=../../x"):
            body = {"filename": "../../etc/passwd"}
            self.assertEqual(self.server.send("POST", f"/slots/0?{query}", body)[0], 501)
        for slot in ("-1", "1e3", "99999999999999999999", "0x1", "%30%00", "..%2f0"):
            status = self.server.send("POST", f"/slots/{slot}?action=erase", {})[0]
            self.assertIn(status, (400, 404), slot)

    def test_json_that_is_none(self):
        half, whole = '{"prompt": "\\ud800"}', '{"prompt": "\\ud83d\\ude00 \\u0000", "max_tokens": 1}'
        for raw, status in ((half, 400), (whole, 200), ('{"prompt": "x", "n": 1e400}', 400),
                            ('{"prompt": [9223372036854775808]}', 400),
                            ('{"prompt": [' + "[" * 70 + "]" * 70 + "]}", 400),
                            ('{"id_slot": -9223372036854775809, "prompt": "x"}', 400),
                            ('{"prompt": "x", "seed": 123456789012345678901234567890}', 400),
                            ("[" * 1_000_000, 400), ('"' + "x" * 1_000_000, 400),
                            ("\ufeff{}", 400)):
            reply = self.server.send("POST", "/v1/completions", raw=raw.encode())
            self.assertEqual(reply[0], status, (raw[:80], reply[1]))

    def test_bombs_do_not_stop_others(self):
        bombs = [{"guided_regex": "(((a{1,1000}){1,1000}){1,1000}){1,1000}"},
                 {"guided_regex": "(a|b)*a" + "(a|b)" * 40},
                 {"json_schema": {"type": "string", "pattern": "^(([a-z]+)+)+$" * 200}},
                 {"json_schema": {"$ref": "#"}},
                 {"grammar": "root ::= root root | \"a\""}]
        results = []
        threads = [threading.Thread(target=lambda bomb=bomb: results.append(self.server.send(
            "POST", "/v1/completions", {"prompt": "x", "max_tokens": 2, **bomb})[0]))
            for bomb in bombs]
        for thread in threads:
            thread.start()
        start = time.monotonic()
        self.assertEqual(self.server.send("GET", "/health")[0], 200)
        self.assertLess(time.monotonic() - start, 1)
        for thread in threads:
            thread.join(TIMEOUT)
        self.assertEqual(len(results), len(bombs))
        self.assertLessEqual(set(results), {200, 400, 429, 501})

    def test_what_rules_out_every_token_is_400(self):
        ask = {"prompt": "x", "guided_regex": "a", "logit_bias": {"a": False}}
        for stream in (False, True):
            status, reply, _ = self.server.send("POST", "/v1/completions",
                                                {**ask, "stream": stream})
            if status == 501:
                self.skipTest("built without xgrammar")
            if stream:  # the head had gone
                reply = json.loads(reply.split("data: ")[1])
            self.assertEqual(reply["error"]["code"], 400)
            self.assertEqual(reply["error"]["param"], "logit_bias")

    def test_the_server_is_still_there(self):  # the last by name
        self.assertIsNone(self.server.process.poll())
        self.assertTrue(self.server.post("/tokenize", prompt="ab")["tokens"])
        self.assertEqual(self.server.send("GET", "/v1/models")[1]["data"][0]["id"], MODEL.name)


if __name__ == "__main__":
    unittest.main()
