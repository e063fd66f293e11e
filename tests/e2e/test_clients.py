"""OpenAI's and Anthropic's own clients, which check every reply against their types here.

Skips where the packages are missing: scripts/test-clients runs it with them.
"""

import asyncio
import json
import unittest
from typing import Literal

from support import MODEL, Case, Server

try:
    import anthropic
    import openai
    from pydantic import BaseModel
except ImportError:
    openai, BaseModel = None, object

HI = [{"role": "user", "content": "Hi"}]
NO_SPACE = {"logit_bias": [[space, -100] for space in " \t\r\n"]}  # the tiny model's favourite
THINKING = "{% for m in messages %}{{ m.content.split('</think>')[-1] }}{% endfor %}<think>"
SCHEMA = {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"],
          "additionalProperties": False}


class Lamp(BaseModel):
    on: bool
    colour: Literal["red", "green"]


@unittest.skipIf(openai is None, "no openai and anthropic: scripts/test-clients brings them")
class Clients(Case):
    flags = ("-c", 1024)

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.flags)
        cls.addClassCleanup(cls.server.__exit__)
        url = f"http://127.0.0.1:{cls.server.port}"
        # A request that is at fault must not be tried again.
        strict = {"api_key": "none", "max_retries": 0, "_strict_response_validation": True}
        cls.openai = openai.OpenAI(base_url=url + "/v1", **strict)
        cls.loose = openai.OpenAI(base_url=url + "/v1", api_key="none", max_retries=0)
        cls.anthropic = anthropic.Anthropic(base_url=url, **strict)
        cls.addClassCleanup(cls.openai.close)
        cls.addClassCleanup(cls.loose.close)
        cls.addClassCleanup(cls.anthropic.close)

    def need_grammars(self):
        status, _, _ = self.server.send("POST", "/v1/completions", {
            "prompt": "x", "max_tokens": 1, "grammar": 'root ::= "a"'})
        if status == 501:
            self.skipTest("built without xgrammar")


class OpenAiChat(Clients):
    tool = {"type": "function", "function": {"name": "switch", "parameters": SCHEMA}}

    def test_models(self):
        [model] = self.openai.models.list().data
        self.assertEqual(model.id, MODEL.name)
        self.assertEqual(self.openai.models.retrieve(model.id), model)
        with self.assertRaises(openai.NotFoundError):
            self.openai.models.retrieve("other")

    def test_chat_whole_and_streamed(self):
        ask = {"model": "m", "messages": HI, "max_tokens": 8, "n": 2, "seed": 1, "temperature": 1,
               "logprobs": True, "top_logprobs": 2}
        whole = self.openai.chat.completions.create(**ask)
        self.assertEqual(whole.usage.completion_tokens, 16)
        self.assertEqual([choice.finish_reason for choice in whole.choices], ["length"] * 2)
        self.assertEqual(len(whole.choices[1].logprobs.content), 8)
        texts, tokens, reasons = ["", ""], [[], []], [None, None]
        for chunk in self.openai.chat.completions.create(
                **ask, stream=True, stream_options={"include_usage": True}):
            for choice in chunk.choices:
                texts[choice.index] += choice.delta.content or ""
                tokens[choice.index] += choice.logprobs.content if choice.logprobs else []
                reasons[choice.index] = choice.finish_reason
        self.assertEqual(chunk.usage.completion_tokens, 16)
        self.assertEqual(texts, [choice.message.content for choice in whole.choices])
        self.assertEqual(tokens, [choice.logprobs.content for choice in whole.choices])
        self.assertEqual(reasons, ["length"] * 2)

    def test_conversations(self):
        conversation = [
            {"role": "developer", "content": "Be short."},
            {"role": "user", "content": [{"type": "text", "text": "On?"}], "name": "me"},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "call_1", "type": "function",
                 "function": {"name": "switch", "arguments": '{"on": true}'}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "done"},
            {"role": "assistant", "content": "It is on.", "refusal": None},
            {"role": "user", "content": "Thanks"}]
        reply = self.openai.chat.completions.create(
            model="m", messages=conversation, tools=[self.tool], max_tokens=2)
        self.assertEqual(reply.usage.completion_tokens, 2)

    def test_tools(self):
        self.need_grammars()
        ask = {"model": "m", "messages": HI, "max_tokens": 200, "tools": [self.tool],
               "tool_choice": "required", "parallel_tool_calls": False, "extra_body": NO_SPACE}
        [choice] = self.openai.chat.completions.create(**ask).choices
        self.assertEqual(choice.finish_reason, "tool_calls")
        [call] = choice.message.tool_calls
        self.assertIn(json.loads(call.function.arguments), ({"on": True}, {"on": False}))
        with self.openai.chat.completions.stream(**ask) as stream:
            [streamed] = stream.get_final_completion().choices
        self.assertEqual(streamed.finish_reason, "tool_calls")
        self.assertEqual(streamed.message.tool_calls[0].function.arguments,
                         call.function.arguments)

    def test_schemas(self):
        self.need_grammars()
        ask = {"model": "m", "messages": HI, "max_tokens": 200, "extra_body": NO_SPACE}
        reply = self.openai.chat.completions.parse(**ask, response_format=Lamp)
        self.assertIsInstance(reply.choices[0].message.parsed, Lamp)
        with self.openai.chat.completions.stream(**ask, response_format=Lamp) as stream:
            streamed = stream.get_final_completion()
        self.assertEqual(streamed.choices[0].message.parsed, reply.choices[0].message.parsed)

    def test_completions(self):
        ask = {"model": "m", "prompt": ["one", "two"], "max_tokens": 4, "logprobs": 2}
        whole = self.openai.completions.create(**ask)
        self.assertEqual([len(choice.logprobs.tokens) for choice in whole.choices], [4, 4])
        texts = ["", ""]
        # Neither a reason that is not known yet nor, below, the first token of a prompt, which has no
        # probability, fits the types, in OpenAI's own replies either.
        for chunk in self.loose.completions.create(**ask, stream=True):
            for choice in chunk.choices:
                texts[choice.index] += choice.text
        self.assertEqual(texts, [choice.text for choice in whole.choices])
        echoed = self.loose.completions.create(**{**ask, "echo": True})
        self.assertEqual([choice.text for choice in echoed.choices],
                         ["one" + texts[0], "two" + texts[1]])

    def test_async(self):
        async def ask():
            async with openai.AsyncOpenAI(base_url=self.openai.base_url, api_key="none") as client:
                replies = [client.completions.create(model="m", prompt=f"{i}", max_tokens=3,
                                                     extra_body={"ignore_eos": True})
                           for i in range(8)]
                return await asyncio.gather(*replies)
        self.assertEqual([reply.usage.completion_tokens for reply in asyncio.run(ask())], [3] * 8)

    def test_errors(self):
        create = self.openai.chat.completions.create
        for changed, param in (({"temperature": "hot"}, "temperature"), ({"n": 17}, "n"),
                               ({"messages": []}, "messages"),
                               ({"response_format": {"type": "sound"}}, "response_format")):
            for stream in (False, True):
                with self.assertRaises(openai.BadRequestError) as caught:
                    create(**{"model": "m", "messages": HI, **changed}, stream=stream)
                self.assertEqual(caught.exception.param, param)
                self.assertEqual(caught.exception.type, "invalid_request_error")
        with self.assertRaises(openai.BadRequestError) as caught:
            create(model="m", messages=[{"role": "user", "content": "x" * 2000}])
        self.assertIn("exceeds the available context size", caught.exception.message)
        with self.assertRaises(openai.NotFoundError):
            self.openai.embeddings.create(model="m", input="x")


class OpenAiResponses(Clients):
    tool = {"type": "function", "name": "switch", "parameters": SCHEMA, "strict": True}

    def streamed(self, **ask):
        with self.openai.responses.stream(**ask) as stream:
            return stream.get_final_response()

    def test_whole_and_streamed(self):
        ask = {"model": "m", "input": "Hi", "instructions": "Be short.", "max_output_tokens": 8}
        whole = self.openai.responses.create(**ask)
        self.assertEqual(whole.status, "incomplete")
        self.assertEqual(whole.incomplete_details.reason, "max_output_tokens")
        self.assertEqual(whole.usage.output_tokens, 8)
        self.assertEqual(self.streamed(**ask).output_text, whole.output_text)
        count = self.openai.responses.input_tokens.count(
            model="m", input="Hi", instructions="Be short.")
        self.assertEqual(count.input_tokens, whole.usage.input_tokens)

    def test_conversations(self):
        items = [
            {"role": "user", "content": [{"type": "input_text", "text": "On?"}]},
            {"type": "reasoning", "id": "rs_1", "summary": [],
             "content": [{"type": "reasoning_text", "text": "Well."}]},
            {"type": "function_call", "call_id": "c1", "name": "switch", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "done"},
            {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
             "content": [{"type": "output_text", "text": "It is on.", "annotations": []}]},
            {"role": "user", "content": "Thanks"}]
        reply = self.openai.responses.create(
            model="m", input=items, tools=[self.tool], max_output_tokens=2, store=False)
        self.assertEqual(reply.usage.output_tokens, 2)

    def test_tools(self):
        self.need_grammars()
        ask = {"model": "m", "input": "Hi", "max_output_tokens": 200, "tools": [self.tool],
               "tool_choice": "required", "parallel_tool_calls": False, "extra_body": NO_SPACE}
        [call] = self.openai.responses.create(**ask).output
        self.assertEqual((call.type, call.name), ("function_call", "switch"))
        self.assertIn(json.loads(call.arguments), ({"on": True}, {"on": False}))
        [streamed] = self.streamed(**ask).output
        self.assertEqual(streamed.arguments, call.arguments)

    def test_schemas(self):
        self.need_grammars()
        ask = {"model": "m", "input": "Hi", "max_output_tokens": 200, "extra_body": NO_SPACE,
               "text_format": Lamp}
        whole = self.openai.responses.parse(**ask)
        self.assertIsInstance(whole.output_parsed, Lamp)
        self.assertEqual(self.streamed(**ask).output_parsed, whole.output_parsed)

    def test_errors(self):
        for asked in ({"input": "x", "previous_response_id": "resp_1"}, {"input": []},
                      {"input": "x", "max_output_tokens": -5}):
            for stream in (False, True):
                with self.assertRaises(openai.BadRequestError):
                    self.openai.responses.create(model="m", **asked, stream=stream)
        with self.assertRaises(openai.NotFoundError):
            self.openai.responses.retrieve("resp_1")


class Anthropic(Clients):
    tool = {"name": "switch", "description": "A switch", "input_schema": SCHEMA}

    def streamed(self, **ask):
        with self.anthropic.messages.stream(**ask) as stream:
            return stream.get_final_message()

    def test_models(self):
        [model] = self.anthropic.models.list().data
        self.assertEqual((model.id, model.type), (MODEL.name, "model"))
        self.assertEqual(model.max_input_tokens, 1024)
        self.assertEqual(self.anthropic.models.retrieve(model.id), model)

    def test_whole_and_streamed(self):
        ask = {"model": "m", "messages": HI, "system": "Be short.", "max_tokens": 8}
        whole = self.anthropic.messages.create(**ask)
        self.assertEqual((whole.stop_reason, whole.usage.output_tokens), ("max_tokens", 8))
        streamed = self.streamed(**ask)
        self.assertEqual(streamed.content[0].text, whole.content[0].text)
        self.assertEqual(streamed.usage.output_tokens, 8)
        count = self.anthropic.messages.count_tokens(
            model="m", messages=HI, system=[{"type": "text", "text": "Be short."}])
        self.assertEqual(count.input_tokens,
                         whole.usage.input_tokens + whole.usage.cache_read_input_tokens)

    def test_conversations(self):
        conversation = [
            {"role": "user", "content": [
                {"type": "text", "text": "On?", "cache_control": {"type": "ephemeral"}}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "Well.", "signature": ""},
                {"type": "tool_use", "id": "t1", "name": "switch", "input": {"on": True}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "done"},
                {"type": "text", "text": "Thanks"}]}]
        reply = self.anthropic.messages.create(
            model="m", messages=conversation, tools=[self.tool], max_tokens=2)
        self.assertEqual(reply.usage.output_tokens, 2)

    def test_tools(self):
        self.need_grammars()
        ask = {"model": "m", "messages": HI, "max_tokens": 200, "tools": [self.tool],
               "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
               "extra_body": NO_SPACE}
        whole = self.anthropic.messages.create(**ask)
        self.assertEqual(whole.stop_reason, "tool_use")
        [block] = whole.content
        self.assertIn(block.input, ({"on": True}, {"on": False}))
        [streamed] = self.streamed(**ask).content
        self.assertEqual((streamed.type, streamed.input), ("tool_use", block.input))

    def test_schemas(self):
        self.need_grammars()
        reply = self.anthropic.messages.parse(
            model="m", messages=HI, max_tokens=200, output_format=Lamp, extra_body=NO_SPACE)
        self.assertIsInstance(reply.parsed_output, Lamp)

    def test_errors(self):
        for changed in ({"max_tokens": -5}, {"messages": [{"role": "user", "content": 1}]},
                        {"messages": [{"role": "user", "content": "x" * 2000}]}):
            for call in (self.anthropic.messages.create, self.streamed):
                with self.assertRaises(anthropic.BadRequestError) as caught:
                    call(**{"model": "m", "messages": HI, "max_tokens": 2, **changed})
                self.assertEqual(caught.exception.body["type"], "error")
                self.assertTrue(caught.exception.body["error"]["message"])


class Reasoning(Clients):
    flags = ("-c", 512, "--chat-template", THINKING)

    def test_messages(self):
        ask = {"model": "m", "messages": HI, "max_tokens": 6}
        whole = self.anthropic.messages.create(**ask)
        self.assertEqual(whole.content[0].type, "thinking")
        with self.anthropic.messages.stream(**ask) as stream:
            streamed = stream.get_final_message()
        self.assertEqual(streamed.content[0].thinking.strip(), whole.content[0].thinking.strip())

    def test_responses(self):
        ask = {"model": "m", "input": "Hi", "max_output_tokens": 6}
        whole = self.openai.responses.create(**ask)
        self.assertEqual(whole.output[0].type, "reasoning")
        with self.openai.responses.stream(**ask) as stream:
            streamed = stream.get_final_response()
        self.assertEqual(streamed.output[0].content[0].text.strip(),
                         whole.output[0].content[0].text.strip())


@unittest.skipIf(openai is None, "no openai and anthropic: scripts/test-clients brings them")
class Keys(Case):
    def test_wrong_keys(self):
        with Server("--api-key", "right") as server:
            url = f"http://127.0.0.1:{server.port}"
            for key, works in (("right", True), ("wrong", False)):
                with openai.OpenAI(base_url=url + "/v1", api_key=key, max_retries=0) as client, \
                        anthropic.Anthropic(base_url=url, api_key=key, max_retries=0) as other:
                    if works:
                        client.models.list()
                        other.messages.count_tokens(model="m", messages=HI)
                        continue
                    with self.assertRaises(openai.AuthenticationError):
                        client.models.list()
                    with self.assertRaises(anthropic.AuthenticationError) as caught:
                        other.messages.count_tokens(model="m", messages=HI)
                    self.assertEqual(caught.exception.type, "authentication_error")


if __name__ == "__main__":
    unittest.main()
