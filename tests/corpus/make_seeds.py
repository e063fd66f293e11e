"""Writes what each fuzzer begins from: small valid inputs, to FOLDER/FUZZER/.

Usage: make_seeds.py FOLDER. `scripts/fuzz --grow` runs it, lets the fuzzers work on the seeds and
keeps the smallest set of inputs with the same coverage in tests/corpus/FUZZER.
"""

import json
import pathlib
import struct
import sys

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
# Of formats.def: ggml's type number, elements and bytes of a block.
TYPES = [(0, 1, 4), (1, 1, 2), (30, 1, 2), (2, 32, 18), (3, 32, 20), (6, 32, 22), (7, 32, 24),
         (8, 32, 34), (12, 256, 144), (13, 256, 176), (14, 256, 210)]
SCALARS = [(0, "<B", 7), (1, "<b", -7), (2, "<H", 300), (3, "<h", -300), (4, "<I", 70000),
           (5, "<i", -70000), (6, "<f", 1.5), (7, "<B", 1), (10, "<Q", 1 << 40),
           (11, "<q", -(1 << 40)), (12, "<d", 2.5)]


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def gguf(version, keys, tensors):
    """keys: (name, type, encoded value); tensors: (name, shape, type, bytes)."""
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(keys))
    for name, kind, value in keys:
        out += text(name) + struct.pack("<I", kind) + value
    offset = 0
    for name, shape, kind, data in tensors:
        out += text(name) + struct.pack("<I", len(shape))
        out += b"".join(struct.pack("<Q", n) for n in shape) + struct.pack("<IQ", kind, offset)
        offset += (len(data) + 31) // 32 * 32
    out += b"\0" * (-len(out) % 32)
    for *_, data in tensors:
        out += data + b"\0" * (-len(data) % 32)
    return out


def gguf_seeds():
    scalars = [(f"k{kind}", kind, struct.pack(form, value)) for kind, form, value in SCALARS]
    arrays = [(f"a{kind}", 9, struct.pack("<IQ", kind, 2) + 2 * struct.pack(form, value))
              for kind, form, value in SCALARS]
    words = [("general.architecture", 8, text("llama")),
             ("words", 9, struct.pack("<IQ", 8, 2) + text("a") + text("é"))]
    yield "empty", gguf(3, [], [])
    yield "scalars", gguf(3, scalars, [])
    yield "arrays", gguf(2, arrays, [])
    yield "strings", gguf(3, words, [])
    for kind, elements, size in TYPES:
        data = bytes(i % 60 for i in range(2 * size))
        yield f"type{kind}", gguf(3, words[:1], [("t", (elements, 2), kind, data)])
    yield "file", (DATA / "files" / "small.gguf").read_bytes()


def safetensors_seeds():
    for kind, size in (("F32", 4), ("F16", 2), ("BF16", 2)):
        header = {"__metadata__": {"format": "pt"},
                  "a": {"dtype": kind, "shape": [2, 3], "data_offsets": [0, 6 * size]},
                  "b": {"dtype": kind, "shape": [], "data_offsets": [6 * size, 7 * size]}}
        data = json.dumps(header).encode()
        yield kind, struct.pack("<Q", len(data)) + data + bytes(7 * size)
    yield "file", (DATA / "files" / "tiny.safetensors").read_bytes()


def config_seeds():
    for path in sorted((DATA / "models").glob("*/config.json")):
        yield path.parent.name, path.read_bytes()
    base = json.loads((DATA / "models" / "llama3" / "config.json").read_text())
    for kind in ("linear", "dynamic", "yarn", "llama3", "longrope"):
        base["rope_scaling"] = {"rope_type": kind, "factor": 4.0}
        yield f"rope_{kind}", json.dumps(base).encode()


def chat_template_seeds():
    for path in sorted((DATA / "chat" / "templates").glob("*.jinja")):
        yield path.stem, path.read_bytes()
    groups = json.loads((DATA / "jinja_cases.json").read_text())["groups"]
    for group, cases in groups.items():
        for i, case in enumerate(cases):
            if len(case["template"]) < 400:
                yield f"{group}{i}", case["template"].encode()


def tokenizer_json_seeds():
    for path in sorted((DATA / "text").glob("tiny_*_tokenizer.json")):
        whole = json.loads(path.read_text())
        model = whole["model"]
        # The first words and merges will do: what matters is every branch, not every word.
        if isinstance(model.get("vocab"), dict):
            model["vocab"] = dict(list(model["vocab"].items())[:40])
        kept = set(model.get("vocab", {}))
        merges = []
        for merge in model.get("merges", []):
            pair = merge.split(" ") if isinstance(merge, str) else merge
            if all(word in kept for word in pair) and "".join(pair) in kept:
                merges.append(merge)
        if "merges" in model:
            model["merges"] = merges[:10]
        small = json.dumps(whole, ensure_ascii=False).encode()
        yield path.stem, small
        yield path.stem + "_text", small + b"\0Hello  world 123\n"
        yield path.stem + "_config", small + b"\0" + b'{"add_bos_token": true, "bos_token": "<s>"}'


def call_seeds():
    """A body behind a byte that names the API: chat, completions, llama.cpp, responses, messages."""
    part = {"type": "text", "text": "Hi"}
    common = {"max_tokens": 4, "temperature": 0.5, "stop": ["a"], "seed": -1, "stream": True, "n": 2,
              "logit_bias": {"1": -100, "x": False}, "tidal": {"method": "tidal", "budget": "10%"},
              "response_format": {"type": "json_schema", "json_schema": {"schema": {"a": 1}}},
              "stream_options": {"include_usage": True}}
    message = {"role": "user", "content": [part, {"type": "input_text", "text": "Hi"},
               {"type": "tool_result", "tool_use_id": "1", "content": [part]},
               {"type": "tool_use", "id": "1", "name": "f", "input": {}},
               {"type": "thinking", "thinking": "hm"},
               {"type": "image", "source": {"type": "base64", "data": "AA"}}]}
    tools = [{"type": "function", "name": "f", "parameters": {}, "input_schema": {}}]
    bodies = [
        {"messages": [message], "logprobs": True, "top_logprobs": 3},
        {"prompt": [[1, "a"], {"prompt_string": "b"}], "logprobs": 2, "echo": True, "best_of": 3},
        {"prompt": [1, "a", 2], "n_predict": -1, "n_probs": 3, "response_fields": ["a/b"],
         "logit_bias": [[1, 2], ["x", False]], "id_slot": 1},
        {"input": [message, {"type": "reasoning", "summary": [part]},
                   {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
                   {"type": "function_call_output", "call_id": "1", "output": "x"}],
         "instructions": "S", "tools": tools, "text": {"format": {"type": "json_object"}}},
        {"messages": [message, {"role": "assistant", "content": message["content"]}],
         "system": [{"type": "text", "text": "x-anthropic-billing-header: a\nS"}], "tools": tools,
         "tool_choice": {"type": "tool", "name": "f"}, "thinking": {"type": "enabled"}}]
    for number, body in enumerate(bodies):
        yield f"api{number}", bytes([number]) + json.dumps({**common, **body}).encode()


def main():
    folder = pathlib.Path(sys.argv[1])
    for name, seeds in (("gguf_fuzz", gguf_seeds), ("safetensors_fuzz", safetensors_seeds),
                        ("config_fuzz", config_seeds), ("chat_template_fuzz", chat_template_seeds),
                        ("tokenizer_json_fuzz", tokenizer_json_seeds), ("call_fuzz", call_seeds)):
        into = folder / name
        into.mkdir(parents=True, exist_ok=True)
        for seed, data in seeds():
            (into / seed).write_bytes(data)


if __name__ == "__main__":
    main()
