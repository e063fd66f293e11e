"""Writes a GGUF of a known shape with random Q4_0 weights, so that a model too large to download can
still be timed by everyone who reads GGUF. Needs gguf and numpy."""

import argparse

import gguf
import numpy

# layers, d_model, heads, KV heads, head size, d_ff, vocabulary, context, rope theta
SHAPES = {
    "llama-3.1-8b": (32, 4096, 32, 8, 128, 14336, 128256, 131072, 5e5),
    "llama-3.2-1b": (16, 2048, 32, 8, 64, 8192, 128256, 131072, 5e5),
}
BLOCK = 32  # weights of a Q4_0 block: an f16 scale and 16 bytes of nibbles


def q4_0(random, rows, columns):
    """Rows of variance 1 / columns: activations of unit variance keep it."""
    blocks = rows * columns // BLOCK
    out = numpy.empty((blocks, 18), numpy.uint8)
    scale = random.uniform(0.9, 1.1, blocks) / (4.6 * columns**0.5)  # nibbles - 8 deviate by 4.6
    out[:, :2] = scale.astype(numpy.float16).view(numpy.uint8).reshape(-1, 2)
    out[:, 2:] = random.integers(0, 256, (blocks, 16), numpy.uint8)
    return out.reshape(rows, columns // BLOCK * 18)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shape", choices=sorted(SHAPES))
    parser.add_argument("path")
    arguments = parser.parse_args()
    layers, d_model, heads, kv_heads, head, d_ff, vocabulary, context, theta = SHAPES[arguments.shape]
    random = numpy.random.default_rng(1)
    writer = gguf.GGUFWriter(arguments.path, "llama", use_temp_file=True)
    writer.add_name(arguments.shape)
    writer.add_block_count(layers)
    writer.add_context_length(context)
    writer.add_embedding_length(d_model)
    writer.add_feed_forward_length(d_ff)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(theta)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(vocabulary)
    writer.add_tokenizer_model("no_vocab")

    def matrix(name, rows, columns):
        writer.add_tensor(name, q4_0(random, rows, columns),
                          raw_dtype=gguf.GGMLQuantizationType.Q4_0)

    def norm(name):
        writer.add_tensor(name, numpy.ones(d_model, numpy.float32))

    matrix("token_embd.weight", vocabulary, d_model)
    norm("output_norm.weight")
    matrix("output.weight", vocabulary, d_model)
    for i in range(layers):
        norm(f"blk.{i}.attn_norm.weight")
        matrix(f"blk.{i}.attn_q.weight", heads * head, d_model)
        matrix(f"blk.{i}.attn_k.weight", kv_heads * head, d_model)
        matrix(f"blk.{i}.attn_v.weight", kv_heads * head, d_model)
        matrix(f"blk.{i}.attn_output.weight", d_model, heads * head)
        norm(f"blk.{i}.ffn_norm.weight")
        matrix(f"blk.{i}.ffn_gate.weight", d_ff, d_model)
        matrix(f"blk.{i}.ffn_up.weight", d_ff, d_model)
        matrix(f"blk.{i}.ffn_down.weight", d_model, d_ff)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
