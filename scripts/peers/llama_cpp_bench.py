"""Decode latency of llama.cpp at given cache depths, and its prefill; run with llama-cpp-python.

The cache is not prefilled to a depth. One block of tokens runs; its rows are copied into a second
sequence, moved to the positions after those there are, and joined to the first, until the depth is
reached: the public API's own calls, so that every layer holds real rows. Prints one JSON object
per line: {"test": "tg", "depth", "ms": [...]} and {"test": "pp", "tokens", "ms": [...]}.
"""

import argparse
import ctypes
import json
import time

import llama_cpp as llama

BLOCK = 256  # tokens that run
CACHE_TYPES = {"f32": 0, "f16": 1, "q8_0": 8}  # of ggml


class Peer:
    def __init__(self, arguments, capacity):
        llama.llama_backend_init()
        self.silence = llama.llama_log_callback(lambda *_: None)  # as long as anything may log
        llama.llama_log_set(self.silence, ctypes.c_void_p(0))
        options = llama.llama_model_default_params()
        self.model = llama.llama_model_load_from_file(arguments.model.encode(), options)
        if not self.model:
            raise SystemExit(f"error: llama.cpp cannot load {arguments.model}")
        options = llama.llama_context_default_params()
        options.n_ctx = capacity
        options.n_batch = options.n_ubatch = 512
        options.n_threads = options.n_threads_batch = arguments.threads
        options.n_seq_max = 2
        options.kv_unified = True
        options.flash_attn_type = 1
        options.type_k = options.type_v = CACHE_TYPES[arguments.kv]
        self.context = llama.llama_init_from_model(self.model, options)
        if not self.context:
            raise SystemExit(f"error: llama.cpp cannot make a context of {capacity} tokens")
        self.memory = llama.llama_get_memory(self.context)
        self.n_vocab = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(self.model))

    def token(self, i):
        return (i * 2654435761 + 17) % self.n_vocab

    def run(self, first, n):
        """Tokens at positions first, first + 1, ...; logits of the last. Milliseconds."""
        batch = llama.llama_batch_init(n, 0, 1)
        batch.n_tokens = n
        for i in range(n):
            batch.token[i] = self.token(first + i)
            batch.pos[i] = first + i
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = 0
            batch.logits[i] = i == n - 1
        start = time.perf_counter()
        status = llama.llama_decode(self.context, batch)
        llama.llama_synchronize(self.context)
        milliseconds = 1000 * (time.perf_counter() - start)
        llama.llama_batch_free(batch)
        if status != 0:
            raise SystemExit(f"error: llama_decode failed with {status} at position {first}")
        return milliseconds

    def clear(self):
        llama.llama_memory_clear(self.memory, True)

    def fill(self, depth):
        self.clear()
        if depth == 0:
            return
        self.run(0, min(BLOCK, depth))
        size = llama.llama_state_seq_get_size(self.context, 0)
        state = (ctypes.c_uint8 * size)()
        llama.llama_state_seq_get_data(self.context, state, size, 0)
        for first in range(BLOCK, depth, BLOCK):
            if not llama.llama_state_seq_set_data(self.context, state, size, 1):
                raise SystemExit(f"error: llama.cpp has no room for row {first}")
            llama.llama_memory_seq_rm(self.memory, 1, depth - first, -1)  # beyond the depth
            llama.llama_memory_seq_add(self.memory, 1, 0, -1, first)
            llama.llama_memory_seq_cp(self.memory, 1, 0, -1, -1)
            llama.llama_memory_seq_rm(self.memory, 1, -1, -1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--depths", default="256,4096,8192")
    parser.add_argument("--prompt", type=int, default=512, help="tokens of the prefill test, 0: none")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--kv", choices=sorted(CACHE_TYPES), default="f16")
    arguments = parser.parse_args()
    depths = sorted(int(depth) for depth in arguments.depths.split(","))
    peer = Peer(arguments, max(depths[-1] + arguments.steps + 2, arguments.prompt) + BLOCK)
    if arguments.prompt:
        times = []
        for _ in range(3):
            peer.clear()
            times.append(sum(peer.run(first, min(512, arguments.prompt - first))
                             for first in range(0, arguments.prompt, 512)))
        print(json.dumps({"test": "pp", "tokens": arguments.prompt, "ms": times}), flush=True)
    for depth in depths:
        peer.fill(depth)
        for i in range(2):  # the first moves the rows' rotations to their new positions
            peer.run(depth + i, 1)
        times = [peer.run(depth + 2 + i, 1) for i in range(arguments.steps)]
        print(json.dumps({"test": "tg", "depth": depth, "ms": times}), flush=True)


if __name__ == "__main__":
    main()
