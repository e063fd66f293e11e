"""Keywords of engines and requests; docs/options.md explains them. Made by scripts/make-documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict


class RequestOptions(TypedDict, total=False):
    method: str  # full, tidal, quest, window, oracle
    plan: str  # a plan
    budget: str | int  # a number of tokens (512) or a share (10%)
    min_context: int  # a whole number from 0 to 2147483647
    correct_every: int  # a whole number from 0 to 2147483647
    lossless: bool  # true or false
    drafts: int  # a whole number from 0 to 15
    max_tokens: int  # a whole number from 1 to 2147483647, or -1 for as many as fit
    min_tokens: int  # a whole number from 0 to 2147483647
    temperature: float  # 0 or more
    top_k: int  # a whole number from 0 to 2147483647
    top_p: float  # above 0 and at most 1
    min_p: float  # from 0 to 1
    typical_p: float  # above 0 and at most 1
    top_n_sigma: float  # a number
    xtc_probability: float  # from 0 to 1
    xtc_threshold: float  # from 0 to 1
    seed: int  # a whole number from 0 to 9223372036854775807
    stop: str | Sequence[str]  # any text
    json_schema: str  # a JSON schema
    grammar: str  # rules, of which one is called root
    ignore_eos: bool  # true or false
    cache_prompt: bool  # true or false
    cache_salt: str  # any text
    repeat_penalty: float  # a number above 0
    repeat_last_n: int  # a whole number from 1 to 2147483647, 0 for none, or -1 for all tokens
    presence_penalty: float  # a number
    frequency_penalty: float  # a number
    dry_multiplier: float  # 0 or more
    dry_base: float  # 1 or more
    dry_allowed_length: int  # a whole number from 0 to 2147483647
    dry_penalty_last_n: int  # a whole number from 1 to 2147483647, 0 for none, or -1 for all tokens
    dry_sequence_breakers: str | Sequence[str]  # a text of 1 to 40 bytes
    logit_bias: str | Sequence[str]  # a token, a sign and a number


class EngineOptions(RequestOptions, total=False):
    context_size: int  # a whole number from 1 to 2147483647
    threads: int  # a whole number from 1 to 4096
    k_cache_type: str  # f16, bf16, f32, q8_0
    v_cache_type: str  # f16, bf16, f32, q8_0
    backend: str  # cpu, reference
    max_sequences: int  # a whole number from 1 to 1024
    prefill_chunk: int  # a whole number from 1 to 65536
    max_queue: int  # a whole number from 0 to 2147483647
    rope_scaling: str  # none, linear, yarn
    rope_scale: float  # a number above 0
    rope_freq_base: float  # a number above 0
    yarn_original_context: int  # a whole number from 1 to 2147483647
    chat_template: str  # a name or a template
