"""Writes Hugging Face folders of a tiny model that says one token, whatever it is asked."""

import json
import struct

WIDTH, HEADS = 32, 4
SPECIAL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]  # ids 256 to 259, after the bytes


def byte_names():
    """The characters that stand for the 256 bytes in byte-level vocabularies."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in shown]
    return {b: chr(b) for b in shown} | {b: chr(256 + i) for i, b in enumerate(hidden)}


def tokenizer(special=SPECIAL):
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    step = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    return {
        "added_tokens": [{"id": 256 + i, "content": text, "special": True, **flags}
                         for i, text in enumerate(special)],
        "normalizer": None, "pre_tokenizer": step, "post_processor": None, "decoder": step,
        "model": {"type": "BPE", "vocab": {name: b for b, name in byte_names().items()},
                  "merges": []}}


def weights(vocab_size, says):
    """Every token has the same embedding, and the layers add nothing to it."""
    square = [WIDTH, WIDTH]
    layer = {f"model.layers.0.{name}.weight": (shape, 0) for name, shape in {
        "mlp.down_proj": square, "mlp.gate_proj": square, "mlp.up_proj": square,
        "self_attn.q_proj": square, "self_attn.k_proj": square, "self_attn.v_proj": square,
        "self_attn.o_proj": square}.items()}
    ones = {f"model.{name}.weight": ([WIDTH], 1) for name in (
        "norm", "layers.0.input_layernorm", "layers.0.post_attention_layernorm")}
    tensors = {"model.embed_tokens.weight": ([vocab_size, WIDTH], 1), **layer, **ones}
    values = {name: [value] * (shape[0] * (shape[1] if len(shape) > 1 else 1))
              for name, (shape, value) in tensors.items()}
    shapes = {name: shape for name, (shape, _) in tensors.items()}
    shapes["lm_head.weight"] = [vocab_size, WIDTH]
    values["lm_head.weight"] = [row == says for row in range(vocab_size) for _ in range(WIDTH)]
    header, data = {}, b""
    for name, shape in shapes.items():
        part = struct.pack(f"<{len(values[name])}f", *values[name])
        header[name] = {"dtype": "F32", "shape": shape,
                        "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def write_model(folder, says=90, vocab_size=260, config=None, generation=None,
                tokenizer_config=None, tokens=None):
    """config: more members of config.json. None: no such file."""
    folder.mkdir()
    files = {
        "config.json": {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": WIDTH,
            "intermediate_size": WIDTH, "num_hidden_layers": 1, "num_attention_heads": HEADS,
            "num_key_value_heads": HEADS, "head_dim": WIDTH // HEADS, "vocab_size": vocab_size,
            "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
            "hidden_act": "silu", "tie_word_embeddings": False, **(config or {})},
        "tokenizer.json": tokens or tokenizer(),
        "generation_config.json": generation,
        "tokenizer_config.json": tokenizer_config}
    for name, value in files.items():
        if value is not None:
            (folder / name).write_text(json.dumps(value))
    (folder / "model.safetensors").write_bytes(weights(vocab_size, says))
    return folder
