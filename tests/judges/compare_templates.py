#!/usr/bin/env python3
"""Chat templates rendered by transformers' Jinja and by ours: compare_templates.py FOLDER.

FOLDER holds *.jinja, such as models/templates of llama.cpp. Each template gets every conversation
below; what jinja2 renders is what the program of the Jinja tests has to render, and where jinja2
fails it has to fail. Lists that a template appends to, which the sandbox of transformers refuses,
are judged by jinja2's other sandbox, as llama.cpp allows them.
"""

import datetime
import inspect
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import jinja2.sandbox
import transformers.utils.chat_template_utils as chat_template_utils

PROGRAM = pathlib.Path(os.environ["TIDAL"]).parent / "tidal_jinja_test"
NOW = datetime.datetime(2024, 7, 26, 15, 4, 5)  # what the test program takes too


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


def message(role, content, **more):
    return {"role": role, "content": content, **more}


def call(name, arguments, number):
    return {"id": f"call{number:05}", "type": "function",
            "function": {"name": name, "arguments": arguments}}


TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "The weather at a \"place\" – now",
        "parameters": {"type": "object", "required": ["place"], "properties": {
            "place": {"type": "string", "description": "City & country <é>"},
            "days": {"type": "integer", "minimum": 1, "default": 3},
            "scale": {"type": "string", "enum": ["C", "F"]},
            "options": {"type": "object", "properties": {"a": {"type": ["string", "null"]}}},
            "list": {"type": "array", "items": {"type": "number"}}}}}},
    {"type": "function", "function": {"name": "stop", "description": "Ends it", "parameters": {
        "type": "object", "properties": {}}}},
]
ASK = [message("system", "You are terse."), message("user", "  What's up in Paris?\n")]
WEATHER = {"place": "Paris", "days": 2, "options": {"a": None, "b": [1, 2.5, True]}}


def tool_turns(arguments):
    return [*ASK,
            message("assistant", "", tool_calls=[call("get_weather", arguments(WEATHER), 1),
                                                 call("stop", arguments({}), 2)]),
            message("tool", '{"rain": true}', tool_call_id="call00001", name="get_weather"),
            message("tool", "done", tool_call_id="call00002", name="stop"),
            message("assistant", "It rains.", reasoning_content="Rain means rain."),
            message("user", "Thanks <|im_end|> {{ x }}")]


PARTS = [message("user", [{"type": "text", "text": "Hello "}, {"type": "text", "text": "parts"}])]
CONVERSATIONS = {
    "single": {"messages": [message("user", "Hello")]},
    "system": {"messages": ASK},
    "turns": {"messages": [*ASK, message("assistant", "<think>\nHm.\n</think>\n\nRain."),
                           message("user", "And then?"), message("assistant", "Sun. "),
                           message("user", "Ω≈ç 👩‍👩‍👧 \u3000wide")]},
    "answer": {"messages": [*ASK, message("assistant", "Rain.")], "add_generation_prompt": False},
    "parts": {"messages": PARTS},
    "tools": {"messages": ASK, "tools": TOOLS},
    "calls": {"messages": tool_turns(lambda arguments: arguments), "tools": TOOLS},
    "calls as text": {"messages": tool_turns(json.dumps), "tools": TOOLS},
    "last result": {"messages": tool_turns(lambda arguments: arguments)[:5], "tools": TOOLS},
    "calls untold": {"messages": tool_turns(lambda arguments: arguments)},
    "one call": {"messages": [*ASK, message("assistant", None, tool_calls=[
        call("get_weather", WEATHER, 1)]), message("tool", "rain", tool_call_id="call00001")],
        "tools": TOOLS},
    "none": {"messages": [message("user", "Hi"), message("assistant", None, tool_calls=[
        call("stop", {}, 1)]), message("tool", "ok", tool_call_id="call00001")], "tools": TOOLS},
    "thinking": {"messages": ASK, "enable_thinking": True, "reasoning_effort": "high"},
    "not thinking": {"messages": ASK, "enable_thinking": False, "thinking": False},
    "empty": {"messages": []},
}


# The function below the cache.
compile_template = inspect.unwrap(chat_template_utils._cached_compile_jinja_template)


def rendered(source, context):
    """By transformers' environment; what it does not let change, by the one that does."""
    strict = jinja2.sandbox.ImmutableSandboxedEnvironment
    for sandbox in (strict, jinja2.sandbox.SandboxedEnvironment):
        chat_template_utils.ImmutableSandboxedEnvironment = sandbox
        try:
            compiled = compile_template(source)
            return {"expected": compiled.render(json.loads(json.dumps(context)))}
        except jinja2.exceptions.SecurityError as refused:
            error = refused
        except Exception as other:  # every way in which a template can fail
            return {"error": f"{type(other).__name__}: {other}".split("\n")[0]}
    return {"error": str(error)}


def cases(folder):
    chat_template_utils.datetime = Clock
    for path in sorted(pathlib.Path(folder).glob("*.jinja")):
        source = path.read_text()
        for name, conversation in CONVERSATIONS.items():
            context = {"add_generation_prompt": True, "bos_token": "<BOS>", "eos_token": "<EOS>",
                       "tools": None, "functions": "[]", "datetime": "Jul 26 2024", **conversation}
            yield {"name": f"{path.stem}: {name}", "template": source, "context": context,
                   **rendered(source, context)}


def main():
    found = list(cases(sys.argv[1]))
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(found, file)
        file.flush()
        done = subprocess.run(
            [PROGRAM, "--gtest_filter=Jinja.RendersGivenCases"], check=False, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "TIDAL_JINJA_CASES": file.name})
    if "[  SKIPPED ]" in done.stdout or "1 test" not in done.stdout:
        sys.exit(done.stdout)
    print(done.stdout)
    differ = sorted(set(re.findall(r"^differs: (.*): [^:]*$", done.stdout, re.M)))
    templates = len({case["name"].split(": ")[0] for case in found})
    errors = sum("error" in case for case in found)
    print(f"{templates} templates, {len(found)} cases, {errors} where jinja2 fails too; "
          f"{len(differ)} templates differ: {', '.join(differ) or 'none'}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
