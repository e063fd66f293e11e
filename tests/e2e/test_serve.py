"""tidal serve as its clients see it: Python's standard library alone."""

import json
import socket
import time
import unittest

from support import MODEL, TIMEOUT, Case, Server

CHAT = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 6}
SWITCH = {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"],
          "additionalProperties": False}


class Serve(Case):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("-c", 1024)

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()

    def test_says_what_it_serves(self):
        self.assertIn("1024 tokens of context", "".join(self.server.log))
        self.assertEqual(self.server.send("GET", "/health")[:2], (200, {"status": "ok"}))
        models = self.server.send("GET", "/v1/models")[1]
        self.assertEqual(models["data"][0]["id"], MODEL.name)
        self.assertEqual(models["data"][0]["max_model_len"], 1024)
        self.assertEqual(models["data"][0]["meta"]["n_ctx"], 1024)
        props = self.server.send("GET", "/props")[1]
        self.assertEqual(props["default_generation_settings"]["n_ctx"], 1024)
        tokenizer = self.server.send("GET", "/tokenizer_info")[1]
        self.assertIn("{%", tokenizer["chat_template"])
        self.assertEqual(props["chat_template"], tokenizer["chat_template"])

    def test_completes(self):
        reply = self.server.post("/v1/completions", prompt="one two", max_tokens=5)
        self.assertEqual(reply["object"], "text_completion")
        self.assertEqual(reply["usage"]["completion_tokens"], 5)
        self.assertEqual(reply["choices"][0]["finish_reason"], "length")
        self.assertEqual(reply["timings"]["predicted_n"], 5)
        self.assertEqual(reply["tidal"]["method"], "tidal")
        self.assertIn("everything was read", reply["tidal"]["note"])

    def test_stream_is_the_same_text(self):
        whole = self.server.post("/v1/completions", prompt="one two", max_tokens=8)
        events = self.server.events("/v1/completions", prompt="one two", max_tokens=8,
                                    stream_options={"include_usage": True})
        self.assertEqual("".join(e["choices"][0]["text"] for e in events if e["choices"]),
                         whole["choices"][0]["text"])
        self.assertEqual(events[-1]["usage"]["completion_tokens"], 8)
        self.assertEqual(len({e["id"] for e in events}), 1)

    def test_chats(self):
        reply = self.server.post("/v1/chat/completions", **CHAT)
        self.assertEqual(reply["choices"][0]["message"]["role"], "assistant")
        events = self.server.events("/v1/chat/completions", **CHAT)
        self.assertEqual(events[0]["choices"][0]["delta"], {"role": "assistant", "content": None})
        self.assertEqual(events[-1]["choices"][0]["delta"], {})
        self.assertEqual(events[-1]["choices"][0]["finish_reason"], "length")
        text = "".join(e["choices"][0]["delta"].get("content") or "" for e in events)
        self.assertEqual(text, reply["choices"][0]["message"]["content"])

    def test_several_answers(self):
        reply = self.server.post("/v1/completions", prompt=["a b", [97, 98], "c"], n=2,
                                 max_tokens=3, temperature=1, seed=1)
        self.assertEqual([c["index"] for c in reply["choices"]], list(range(6)))
        again = self.server.post("/v1/completions", prompt=["a b", [97, 98], "c"], n=2,
                                 max_tokens=3, temperature=1, seed=1)
        self.assertEqual(reply["choices"], again["choices"])

    def test_echo_and_no_tokens(self):
        reply = self.server.post("/v1/completions", prompt="one two", max_tokens=0, echo=True)
        self.assertEqual(reply["choices"][0]["text"], "one two")
        self.assertEqual(reply["usage"]["completion_tokens"], 0)

    def test_logprobs(self):
        reply = self.server.post("/v1/chat/completions", **CHAT, logprobs=True, top_logprobs=3)
        tokens = reply["choices"][0]["logprobs"]["content"]
        self.assertEqual(len(tokens), 6)
        for token in tokens:  # at temperature 0
            self.assertEqual(token["logprob"], token["top_logprobs"][0]["logprob"])
            self.assertEqual(len(token["top_logprobs"]), 3)
        streamed = [t for e in self.server.events("/v1/chat/completions", **CHAT, logprobs=True,
                                                  top_logprobs=3)
                    for t in ((e["choices"][0].get("logprobs") or {}).get("content") or [])]
        self.assertEqual(streamed, tokens)

    def test_echoed_prompts_have_logprobs(self):
        tokens = self.server.post("/tokenize", prompt="one two three")["tokens"]
        reply = self.server.post("/v1/completions", prompt=[tokens, tokens[:5]], max_tokens=1,
                                 echo=True, logprobs=1)
        for choice, n in zip(reply["choices"], (len(tokens), 5)):
            logprobs = choice["logprobs"]
            self.assertEqual(len(logprobs["tokens"]), n + 1)
            self.assertIsNone(logprobs["token_logprobs"][0])
            self.assertIsNone(logprobs["top_logprobs"][0])
            for token, top in zip(logprobs["token_logprobs"][1:], logprobs["top_logprobs"][1:]):
                self.assertLessEqual(token, max(top.values()))
            self.assertEqual(logprobs["token_logprobs"][-1],
                             max(logprobs["top_logprobs"][-1].values()))
        ask = {"prompt": tokens, "max_tokens": 4, "echo": True, "logprobs": 1}
        whole = self.server.post("/v1/completions", **ask)["choices"][0]["logprobs"]
        streamed = {name: [] for name in whole}
        for event in self.server.events("/v1/completions", **ask):
            for name, values in (event["choices"][0]["logprobs"] or {}).items():
                streamed[name] += values
        self.assertEqual(streamed, whole)

    def test_probabilities_after_sampling(self):
        ask = {"prompt": "one", "n_predict": 5, "temperature": 1, "top_k": 4, "min_p": 0,
               "top_p": 1, "seed": 1, "n_probs": 10, "post_sampling_probs": True}
        tokens = self.server.post("/completion", **ask)["completion_probabilities"]
        self.assertEqual(len(tokens), 5)
        for token in tokens:
            self.assertEqual(len(token["top_probs"]), 4)
            self.assertAlmostEqual(sum(other["prob"] for other in token["top_probs"]), 1, 5)
            self.assertIn(token["prob"], [other["prob"] for other in token["top_probs"]])
        streamed = [t for e in self.server.events("/completion", **ask)
                    for t in e.get("completion_probabilities", [])]
        self.assertEqual(streamed, tokens)
        certain = self.server.post("/v1/chat/completions", **CHAT, logprobs=True, top_logprobs=2,
                                   post_sampling_probs=True)
        for token in certain["choices"][0]["logprobs"]["content"]:
            self.assertEqual([other["prob"] for other in token["top_probs"]], [1])

    def test_best_of(self):
        ask = {"prompt": "one", "max_tokens": 4, "temperature": 2, "seed": 1}
        best = self.server.post("/v1/completions", **ask, best_of=6)["choices"]
        every = self.server.post("/v1/completions", **ask, n=6, logprobs=0)["choices"]
        means = [sum(c["logprobs"]["token_logprobs"]) / len(c["logprobs"]["tokens"]) for c in every]
        self.assertEqual([c["text"] for c in best], [every[means.index(max(means))]["text"]])

    def test_logit_bias(self):
        ask = {"prompt": "one", "n_predict": 8, "return_tokens": True, "ignore_eos": True}
        token = self.server.post("/completion", **ask)["tokens"][0]
        for bias in ({str(token): False}, [[token, -100]]):
            never = self.server.post("/completion", **ask, logit_bias=bias)["tokens"]
            self.assertNotIn(token, never)

    def test_min_tokens(self):
        limits = {"min_tokens": 3, "stop_token_ids": [65], "logit_bias": {"65": 100}}
        for path, ask, count in (
                ("/v1/chat/completions", CHAT, "completion_tokens"),
                ("/v1/completions", {"prompt": "one"}, "completion_tokens"),
                ("/v1/responses", {"input": "Hi"}, "output_tokens"),
                ("/v1/messages", CHAT, "output_tokens")):
            self.assertEqual(self.server.post(path, **ask, **limits)["usage"][count], 3, path)
        status, reply, _ = self.server.send("POST", "/v1/completions",
                                            {"prompt": "x", "max_tokens": 2, "min_tokens": 3})
        self.assertEqual((status, reply["error"]["param"]), (400, "min_tokens"))

    def test_method_of_a_request(self):
        tidal = {"method": "window", "budget": 32, "min_context": 0}
        reply = self.server.post("/v1/completions", prompt="x" * 300, max_tokens=8, tidal=tidal)
        self.assertEqual(reply["tidal"]["method"], "window")
        self.assertLess(reply["tidal"]["rows_share"], 1)
        self.assertNotIn("note", reply["tidal"])

    def test_lossless(self):
        ask = {"prompt": "x" * 300, "max_tokens": 30, "temperature": 0.9, "seed": 5}
        tidal = {"method": "tidal", "budget": 32, "min_context": 0, "lossless": True, "drafts": 3}
        got = self.server.post("/v1/completions", **ask, tidal=tidal)
        full = self.server.post("/v1/completions", **ask, tidal={"method": "full"})
        self.assertEqual(got["choices"], full["choices"])
        self.assertGreater(got["tidal"]["lossless"]["drafted"], 0)
        self.assertEqual(got["timings"]["draft_n"], got["tidal"]["lossless"]["drafted"])
        self.assertEqual(got["timings"]["draft_n_accepted"], got["tidal"]["lossless"]["accepted"])
        self.assertNotIn("draft_n", full["timings"])

    def test_responses(self):
        reply = self.server.post("/v1/responses", input="Hi", instructions="S", max_output_tokens=4)
        self.assertEqual(reply["object"], "response")
        self.assertEqual(reply["status"], "incomplete")
        events = self.server.events("/v1/responses", input="Hi", instructions="S",
                                    max_output_tokens=4)
        self.assertEqual([e["sequence_number"] for e in events], list(range(len(events))))
        self.assertEqual(events[-1]["response"]["output"][0]["content"],
                         reply["output"][0]["content"])
        self.assertEqual(self.server.send("POST", "/v1/responses", {"input": "x",
                         "previous_response_id": "resp_1"})[0], 400)

    def test_messages(self):
        ask = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
        reply = self.server.post("/v1/messages", **ask)
        self.assertEqual(reply["stop_reason"], "max_tokens")
        events = self.server.events("/v1/messages", **ask)
        self.assertEqual(events[0]["type"], "message_start")
        self.assertEqual(events[-1]["type"], "message_stop")
        text = "".join(e["delta"]["text"] for e in events if e["type"] == "content_block_delta")
        self.assertEqual(text, reply["content"][0]["text"])
        count = self.server.post("/v1/messages/count_tokens", messages=ask["messages"])
        self.assertEqual(count["input_tokens"], reply["usage"]["input_tokens"]
                         + reply["usage"]["cache_read_input_tokens"])

    def test_required_calls_come_as_calls(self):
        tool = {"type": "function", "function": {"name": "switch", "parameters": SWITCH}}
        asked = {**CHAT, "max_tokens": 200, "tools": [tool], "parallel_tool_calls": False,
                 "tool_choice": {"type": "function", "function": {"name": "switch"}}}
        status, reply, _ = self.server.send("POST", "/v1/chat/completions", asked)
        if status == 501:
            self.skipTest("built without xgrammar")
        choice = reply["choices"][0]
        self.assertEqual(choice["finish_reason"], "tool_calls")
        self.assertIsNone(choice["message"]["content"])
        [call] = choice["message"]["tool_calls"]
        self.assertEqual((call["type"], call["function"]["name"]), ("function", "switch"))
        arguments = json.loads(call["function"]["arguments"])
        self.assertIn(arguments, ({"on": True}, {"on": False}))

        events = self.server.events("/v1/chat/completions", **asked)
        deltas = [event["choices"][0]["delta"] for event in events if event["choices"]]
        [streamed] = [part for delta in deltas for part in delta.get("tool_calls", [])]
        self.assertEqual(streamed["index"], 0)
        self.assertEqual(streamed["function"], call["function"])
        self.assertFalse(any(delta.get("content") for delta in deltas))
        self.assertEqual(events[-1]["choices"][0]["finish_reason"], "tool_calls")

        reply = self.server.post(
            "/v1/messages", **CHAT | {"max_tokens": 200},
            tools=[{"name": "switch", "input_schema": SWITCH}],
            tool_choice={"type": "tool", "name": "switch", "disable_parallel_tool_use": True})
        self.assertEqual(reply["stop_reason"], "tool_use")
        [block] = reply["content"]
        self.assertEqual((block["type"], block["name"], block["input"]),
                         ("tool_use", "switch", arguments))

        reply = self.server.post(
            "/v1/responses", input="Hi", max_output_tokens=200, parallel_tool_calls=False,
            tools=[{"type": "function", "name": "switch", "parameters": SWITCH}],
            tool_choice={"type": "function", "name": "switch"})
        [item] = reply["output"]
        self.assertEqual((item["type"], item["name"]), ("function_call", "switch"))
        self.assertEqual(json.loads(item["arguments"]), arguments)

    def test_answers_keep_to_a_schema_in_every_api(self):
        shape = {"type": "json_schema", "name": "s", "schema": SWITCH}
        for path, asked, text in (
                ("/v1/chat/completions", CHAT | {"response_format": {
                    "type": "json_schema", "json_schema": shape}},
                 lambda reply: reply["choices"][0]["message"]["content"]),
                ("/v1/completions", {"prompt": "x", "guided_json": SWITCH},
                 lambda reply: reply["choices"][0]["text"]),
                ("/completion", {"prompt": "x", "json_schema": SWITCH},
                 lambda reply: reply["content"]),
                ("/v1/responses", {"input": "Hi", "text": {"format": shape}},
                 lambda reply: reply["output"][0]["content"][0]["text"]),
                ("/v1/messages", CHAT | {"output_config": {"format": shape}},
                 lambda reply: reply["content"][0]["text"])):
            status, reply, _ = self.server.send("POST", path, asked | {
                "max_output_tokens" if path == "/v1/responses" else "max_tokens": 200})
            if status == 501:
                self.skipTest("built without xgrammar")
            self.assertIn(json.loads(text(reply)), ({"on": True}, {"on": False}), path)
        status, reply, _ = self.server.send("POST", "/completion", {
            "prompt": "x", "json_schema": {"allOf": [SWITCH, SWITCH]}})
        self.assertEqual((status, "'allOf'" in reply["error"]["message"]), (400, True), reply)

    def test_reasoning_is_split_off(self):
        opened = ("{% for m in messages %}{{ m.content.split('</think>')[-1] }}{% endfor %}"
                  "<think>")
        for name, where in ((opened, "reasoning_content"), ("chatml", "content")):
            with Server("-c", 256, "--chat-template", name) as server:
                message = server.post("/v1/chat/completions", **CHAT)["choices"][0]["message"]
                self.assertTrue(message[where])
                other = {"reasoning_content", "content"} - {where}
                self.assertFalse(message.get(other.pop()))
                deltas = [event["choices"][0]["delta"]
                          for event in server.events("/v1/chat/completions", **CHAT)]
                self.assertEqual("".join(delta.get(where) or "" for delta in deltas).strip(),
                                 message[where].strip())

    def test_the_second_time_most_is_reused(self):
        ask = {"prompt": "the same beginning of many words " * 10, "max_tokens": 2}
        first = self.server.post("/v1/completions", **ask, cache_salt="a")
        second = self.server.post("/v1/completions", **ask, cache_salt="a")
        other = self.server.post("/v1/completions", **ask, cache_salt="b")
        cached = [r["usage"]["prompt_tokens_details"]["cached_tokens"]
                  for r in (first, second, other)]
        self.assertEqual((cached[0], cached[2]), (0, 0))
        self.assertGreater(cached[1], 300)
        self.assertEqual(first["choices"], second["choices"])

    def test_slots_can_be_forgotten(self):
        ask = {"prompt": "x" * 100, "n_predict": 1, "id_slot": 1}
        self.assertEqual(self.server.post("/completion", **ask)["timings"]["cache_n"], 0)
        self.assertGreater(self.server.post("/completion", **ask)["timings"]["cache_n"], 0)
        self.server.post("/slots/1?action=erase")
        self.assertEqual(self.server.post("/completion", **ask)["timings"]["cache_n"], 0)
        for path, status in (("/slots/99?action=erase", 400), ("/slots/x?action=erase", 400),
                             ("/slots/1", 400), ("/slots/1?action=save", 501),
                             ("/slots/1/2?action=erase", 404)):
            self.assertEqual(self.server.send("POST", path, {})[0], status, path)
        slots = self.server.send("GET", "/slots")[1]
        self.assertEqual([slot["is_processing"] for slot in slots], [False] * 8)

    def test_progress_begins_before_the_prompt_is_read(self):
        events = self.server.events("/completion", prompt="y" * 700, n_predict=2,
                                    return_progress=True, cache_prompt=False)
        progress = [e["prompt_progress"] for e in events if "prompt_progress" in e]
        self.assertEqual(progress[0]["processed"], 0)
        self.assertEqual(progress[-1]["processed"], progress[-1]["total"])

    def test_the_document_names_every_endpoint(self):
        document = self.server.send("GET", "/openapi.json")[1]
        for path, methods in document["paths"].items():
            for method in methods:
                at = path.replace("{id}", "0").replace("{model}", MODEL.name)
                status = self.server.send(method.upper(), at, {})[0]
                self.assertNotIn(status, (404, 405, 500), path)

    def test_formats_of_other_apis(self):
        ask = {"logit_bias": [[space, -100] for space in " \t\r\n"]}
        form = {"type": "json_schema", "name": "switch", "schema": SWITCH}
        status, reply, _ = self.server.send("POST", "/v1/responses", {
            **ask, "input": "Hi", "max_output_tokens": 50, "text": {"format": form}})
        if status == 501:
            self.skipTest("built without xgrammar")
        [item] = reply["output"]
        self.assertIn(json.loads(item["content"][0]["text"]), ({"on": True}, {"on": False}))
        reply = self.server.post("/v1/messages", **{**CHAT, "max_tokens": 50}, **ask,
                                 output_config={"format": form})
        self.assertIn(json.loads(reply["content"][0]["text"]), ({"on": True}, {"on": False}))

    def test_models_have_an_address(self):
        [listed] = self.server.send("GET", "/v1/models")[1]["data"]
        self.assertEqual(self.server.send("GET", f"/v1/models/{MODEL.name}")[:2], (200, listed))
        self.assertEqual(self.server.send("GET", "/v1/models/other")[0], 404)
        with Server("--alias", "team/tiny") as server:
            self.assertEqual(server.send("GET", "/v1/models/team/tiny")[1]["id"], "team/tiny")

    def test_errors_of_messages_say_so(self):
        for path in ("/v1/messages", "/v1/messages/count_tokens"):
            status, reply, _ = self.server.send("POST", path, {"messages": 1})
            self.assertEqual((status, reply["type"]), (400, "error"))
            self.assertEqual(reply["error"]["type"], "invalid_request_error")

    def test_formats_need_a_grammar(self):
        for shape in ({"response_format": {"type": "sound"}}, {"json_schema": 123},
                      {"response_format": {"type": "json_object", "schema": 123}}):
            self.assertEqual(self.server.send("POST", "/v1/completions",
                                              {"prompt": "x", **shape})[0], 400, shape)

    def test_tokens_there_and_back(self):
        for request, answer in (("content", "content"), ("prompt", "prompt")):
            tokens = self.server.post("/tokenize", **{request: "Grüße, you"})["tokens"]
            self.assertEqual(self.server.post("/detokenize", tokens=tokens)[answer], "Grüße, you")
        self.assertEqual(self.server.post("/tokenize", prompt="ab")["max_model_len"], 1024)

    def test_bad_requests_are_400(self):
        for body in ({}, {"prompt": None}, {"prompt": ""}, {"prompt": [-1]},
                     {"prompt": [10**9]}, {"prompt": "x", "max_tokens": -5},
                     {"prompt": "x", "temperature": "hot"}, {"prompt": "x", "n": 10**30},
                     {"prompt": "x", "tidal": {"budgets": 1}}, {"prompt": "x", "suffix": "y"},
                     {"prompt": "x", "tidal": {"budget": "lots"}}):
            status, reply, _ = self.server.send("POST", "/v1/completions", body)
            self.assertEqual(status, 400, (body, reply))
            self.assertEqual(reply["error"]["code"], 400)
            self.assertTrue(reply["error"]["message"])
        for raw in ("{", "[]", '{"prompt": NaN}', '{"a":' * 1000, "\xff".encode("latin-1"),
                    '{"prompt": "x", "max_tokens": 1e999}'):
            self.assertEqual(self.server.send("POST", "/v1/completions", raw=raw)[0], 400, raw)
        self.assertEqual(self.server.send("GET", "/nothing")[0], 404)
        self.assertEqual(self.server.send("GET", "/v1/completions")[0], 405)

    def test_a_long_prompt_is_refused_with_both_lengths(self):
        status, reply, _ = self.server.send("POST", "/v1/completions", {"prompt": "x" * 2000})
        self.assertEqual(status, 400)
        self.assertEqual(reply["error"]["type"], "exceed_context_size_error")
        self.assertEqual(reply["error"]["n_ctx"], 1024)
        self.assertGreater(reply["error"]["n_prompt_tokens"], 1024)
        self.assertIn("exceeds the available context size", reply["error"]["message"])

    def test_pages_of_other_sites_are_kept_out(self):
        self.assertEqual(self.server.send("GET", "/v1/models", headers={"Host": "evil.com"})[0], 403)
        body = {"prompt": "x", "max_tokens": 1}
        for origin, status in (("http://evil.com", 403), ("http://localhost:3000", 200)):
            asked = self.server.send("POST", "/v1/completions", body, headers={
                "Origin": origin, "Content-Type": "text/plain"})
            self.assertEqual(asked[0], status)
            allowed = asked[2].getheader("Access-Control-Allow-Origin")
            self.assertEqual(allowed, origin if status == 200 else None)

    def test_request_ids_come_back(self):
        response = self.server.send("GET", "/health", headers={"X-Request-Id": "7"})[2]
        self.assertEqual(response.getheader("X-Request-Id"), "7")

    def test_a_client_that_leaves_frees_its_request(self):
        start = time.monotonic()
        for _ in range(12):  # more than run at the same time
            body = json.dumps({"prompt": "x", "max_tokens": 900, "ignore_eos": True})
            with socket.create_connection(("127.0.0.1", self.server.port)) as client:
                client.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
                               b"Content-Length: %d\r\n\r\n%s" % (len(body), body.encode()))
                time.sleep(0.01)
        self.server.post("/v1/completions", prompt="x", max_tokens=1)
        self.assertLess(time.monotonic() - start, TIMEOUT)


if __name__ == "__main__":
    unittest.main()
