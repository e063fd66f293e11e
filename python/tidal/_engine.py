"""Engine: a loaded model; Generation: one request of it; Completion: what came of it."""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Union, overload

from tidal import _native
from tidal._errors import Error
from tidal._options import RequestOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from tidal._options import EngineOptions

Prompt = Union[str, Sequence[int]]


class Message(TypedDict):
    role: str  # system, user or assistant
    content: str


@dataclasses.dataclass(frozen=True)
class Completion:
    """What came of a request. Rows are those of the cache that decode steps read, K and V, over all
    layers and KV heads, and what full attention would have read."""

    text: str
    tokens: list[int]  # the end-of-generation token excluded
    finish_reason: str  # stop, length, cancelled
    method: str
    plan: str
    prompt_tokens: int
    reused_tokens: int  # of the prompt, from earlier requests
    corrections: int  # KV cache corrections done
    rows_read: int
    rows_total: int
    rows_share: float
    prefill_ms: float  # from the first chunk to the first token
    decode_ms: float  # from the first token to the last
    drafted: int = 0  # tokens, with lossless=True
    accepted: int = 0  # ... that full attention said too


class Generation(Iterator[str]):
    """The pieces of a request's text as they come; then `completion` is there.

    close() ends it early, and so does whatever interrupts it, Ctrl-C too: `completion` then has
    what was done, with the finish reason "cancelled".
    """

    def __init__(self, engine: Engine, tokens: Sequence[int], options: _native.Options) -> None:
        self.prompt_tokens = len(tokens)
        self._engine = engine  # keeps it alive
        self._completion: Completion | None = None
        self._handle = ctypes.c_void_p()
        _native.check(_native.library().tidal_submit(
            engine._handle, options.handle, _native.token_array(list(tokens)), len(tokens),
            ctypes.byref(self._handle)))

    @property
    def completion(self) -> Completion:
        """What came of it; runs to the end what has not ended."""
        for _ in self:
            pass
        assert self._completion is not None
        return self._completion

    @property
    def prompt_read(self) -> int:
        """Tokens of the prompt read so far."""
        if self._completion is not None:
            return self.prompt_tokens
        return int(_native.library().tidal_request_number(self._handle, _native.PROMPT_READ))

    def __next__(self) -> str:
        while self._completion is None:
            try:
                event, text = self._next_event()
            except BaseException:
                self.close()
                raise
            if event == _native.EVENT_DONE:
                self._finish()
            elif text:
                return text
        raise StopIteration

    def close(self) -> None:
        """Ends the request; what it has stays."""
        if self._completion is None:
            _native.library().tidal_cancel(self._handle)
            while self._next_event()[0] != _native.EVENT_DONE:
                pass
            self._finish()

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            _native.library().tidal_request_free(self._handle)

    def _next_event(self) -> tuple[int, str]:
        event = ctypes.c_int()
        text = ctypes.c_void_p()
        size = ctypes.c_size_t()
        _native.check(_native.library().tidal_next(
            self._handle, ctypes.byref(event), ctypes.byref(text), ctypes.byref(size)))
        return event.value, _native.text_of(text.value, size.value)

    def _finish(self) -> None:
        library = _native.library()

        def text(which: int) -> str:
            size = ctypes.c_size_t()
            address = library.tidal_request_text(self._handle, which, ctypes.byref(size))
            return _native.text_of(address, size.value)

        def number(which: int) -> float:
            return library.tidal_request_number(self._handle, which)

        n_tokens = ctypes.c_size_t()
        tokens = library.tidal_request_tokens(self._handle, ctypes.byref(n_tokens))
        self._completion = Completion(
            text=text(_native.TEXT),
            tokens=tokens[:n_tokens.value] if n_tokens.value else [],
            finish_reason=text(_native.FINISH_REASON),
            method=text(_native.METHOD),
            plan=text(_native.PLAN),
            prompt_tokens=int(number(_native.PROMPT_TOKENS)),
            reused_tokens=int(number(_native.REUSED_TOKENS)),
            corrections=int(number(_native.CORRECTIONS)),
            rows_read=int(number(_native.ROWS_READ)),
            rows_total=int(number(_native.ROWS_TOTAL)),
            rows_share=number(_native.ROWS_SHARE),
            prefill_ms=number(_native.PREFILL_MS),
            decode_ms=number(_native.DECODE_MS),
            drafted=int(number(_native.DRAFTED)),
            accepted=int(number(_native.ACCEPTED)),
        )
        error = text(_native.ERROR)
        if error:
            raise Error(error)


class Engine:
    """A loaded model and its cache. May be used from several threads: requests are decoded
    together, up to max_sequences at a time."""

    def __init__(self, model: str | os.PathLike[str], **options: Unpack[EngineOptions]) -> None:
        """Loads the model. Options for requests given here hold for all of them."""
        self._handle = ctypes.c_void_p()
        self._defaults = {name: value for name, value in options.items()
                          if name in RequestOptions.__annotations__}
        native = _native.Options({"model": os.fsdecode(model), **options})
        _native.check(_native.library().tidal_engine_new(native.handle,
                                                         ctypes.byref(self._handle)))

    def close(self) -> None:
        """Frees model and cache, and ends what still runs."""
        if getattr(self, "_handle", None):
            _native.library().tidal_engine_free(self._handle)
            self._handle = ctypes.c_void_p()

    __del__ = close

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def model_name(self) -> str:
        return _native.library().tidal_model_name(self._open()).decode(errors="replace")

    @property
    def context_size(self) -> int:
        """Tokens the cache holds."""
        return _native.library().tidal_context_size(self._open())

    @property
    def trained_context(self) -> int:
        """Tokens the model was made for, RoPE scaling included."""
        return _native.library().tidal_trained_context(self._open())

    def tokenize(self, text: str) -> list[int]:
        """With the model's own begin token; control tokens in the text stay text."""
        data = text.encode()
        tokens, n_tokens = ctypes.POINTER(ctypes.c_int32)(), ctypes.c_size_t()
        _native.check(_native.library().tidal_encode(
            self._open(), data, len(data), ctypes.byref(tokens), ctypes.byref(n_tokens)))
        return _native.take_tokens(tokens, n_tokens.value)

    def detokenize(self, tokens: Sequence[int]) -> str:
        text, size = ctypes.c_void_p(), ctypes.c_size_t()
        _native.check(_native.library().tidal_decode(
            self._open(), _native.token_array(list(tokens)), len(tokens), ctypes.byref(text),
            ctypes.byref(size)))
        return _native.take_text(text, size.value)

    @overload
    def generate(self, prompt: Prompt, *, stream: Literal[False] = False,
                 **options: Unpack[RequestOptions]) -> Completion: ...
    @overload
    def generate(self, prompt: Prompt, *, stream: Literal[True],
                 **options: Unpack[RequestOptions]) -> Generation: ...

    def generate(self, prompt: Prompt, *, stream: bool = False,
                 **options: Unpack[RequestOptions]) -> Completion | Generation:
        """Continues a text or tokens. With stream, an iterator over the text's pieces."""
        tokens = self.tokenize(prompt) if isinstance(prompt, str) else prompt
        generation = Generation(self, tokens, self._request_options(options))
        return generation if stream else generation.completion

    @overload
    def chat(self, messages: Sequence[Message], *, stream: Literal[False] = False,
             answer_prefix: str = "", **options: Unpack[RequestOptions]) -> Completion: ...
    @overload
    def chat(self, messages: Sequence[Message], *, stream: Literal[True],
             answer_prefix: str = "", **options: Unpack[RequestOptions]) -> Generation: ...

    def chat(self, messages: Sequence[Message], *, stream: bool = False, answer_prefix: str = "",
             **options: Unpack[RequestOptions]) -> Completion | Generation:
        """The assistant's answer to messages, in the model's chat template."""
        tokens = self.tokenize_chat(messages, answer_prefix)
        return self.generate(tokens, stream=stream, **options)

    def tokenize_chat(self, messages: Sequence[Message], answer_prefix: str = "") -> list[int]:
        """Messages in the model's chat template, open for the answer, which begins with
        answer_prefix; control tokens inside the messages stay text."""
        def texts(key: Literal["role", "content"]) -> ctypes.Array[ctypes.c_char_p]:
            return (ctypes.c_char_p * len(messages))(
                *(_native.c_string(message[key]) for message in messages))

        tokens, n_tokens = ctypes.POINTER(ctypes.c_int32)(), ctypes.c_size_t()
        _native.check(_native.library().tidal_encode_chat(
            self._open(), texts("role"), texts("content"), len(messages),
            _native.c_string(answer_prefix), ctypes.byref(tokens), ctypes.byref(n_tokens)))
        return _native.take_tokens(tokens, n_tokens.value)

    def eval_kld(self, text: Prompt, *, n_prompt: int, methods: Sequence[str] = ("tidal",),
                 progress: Callable[[int, int], object] | None = None,
                 **options: Unpack[RequestOptions]) -> list[dict[str, Any]]:
        """How far methods are from full attention on a text or tokens: the first n_prompt tokens
        are read with full attention, every later one by each method.

        A dictionary for each method, as `tidal eval kld --json` prints it. progress is called with
        the tokens done and those to do, from another thread.
        """
        tokens = self.tokenize(text) if isinstance(text, str) else list(text)
        native = self._request_options(options)
        names = _native.c_string(",".join(methods))
        json_text = ctypes.c_void_p()

        def work(keep_going: _native.KeepGoing) -> None:
            _native.check(_native.library().tidal_eval_kld(
                self._open(), native.handle, names, _native.token_array(tokens), len(tokens),
                n_prompt, keep_going, None, ctypes.byref(json_text)))

        try:
            _native.run_interruptibly(work, progress)
        except BaseException:
            _native.library().tidal_free(json_text)
            raise
        return json.loads(_native.take_text(json_text, len(ctypes.string_at(json_text.value))))

    def _open(self) -> ctypes.c_void_p:
        if not self._handle:
            raise ValueError("the engine is closed")
        return self._handle

    def _request_options(self, options: Mapping[str, object]) -> _native.Options:
        self._open()
        for name in options:
            if name not in RequestOptions.__annotations__:
                raise TypeError(f"{name!r} is no option of a request; see docs/options.md")
        return _native.Options({**self._defaults, **options})
