"""include/tidal/tidal.h by ctypes, which releases the interpreter's lock during each call."""

from __future__ import annotations

import ctypes
import functools
import pathlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tidal._errors import error_of

_PATH = pathlib.Path(__file__).parent / "libtidal.so"

_c = ctypes
_out = _c.POINTER
_tokens = _c.POINTER(_c.c_int32)

if TYPE_CHECKING:
    KeepGoing = Any  # a PROGRESS

PROGRESS = _c.CFUNCTYPE(_c.c_int, _c.c_void_p, _c.c_int64, _c.c_int64)

# Name: result, arguments.
_FUNCTIONS = {
    "tidal_version": (_c.c_char_p, []),
    "tidal_last_error": (_c.c_char_p, []),
    "tidal_last_error_option": (_c.c_char_p, []),
    "tidal_free": (None, [_c.c_void_p]),
    "tidal_options_new": (_c.c_void_p, []),
    "tidal_options_set": (_c.c_int, [_c.c_void_p, _c.c_char_p, _c.c_char_p]),
    "tidal_options_free": (None, [_c.c_void_p]),
    "tidal_engine_new": (_c.c_int, [_c.c_void_p, _out(_c.c_void_p)]),
    "tidal_engine_free": (None, [_c.c_void_p]),
    "tidal_model_name": (_c.c_char_p, [_c.c_void_p]),
    "tidal_context_size": (_c.c_int64, [_c.c_void_p]),
    "tidal_trained_context": (_c.c_int64, [_c.c_void_p]),
    "tidal_encode": (_c.c_int, [_c.c_void_p, _c.c_char_p, _c.c_size_t, _out(_tokens),
                                _out(_c.c_size_t)]),
    "tidal_encode_chat": (_c.c_int, [_c.c_void_p, _out(_c.c_char_p), _out(_c.c_char_p),
                                     _c.c_size_t, _c.c_char_p, _out(_tokens),
                                     _out(_c.c_size_t)]),
    "tidal_decode": (_c.c_int, [_c.c_void_p, _tokens, _c.c_size_t, _out(_c.c_void_p),
                                _out(_c.c_size_t)]),
    "tidal_submit": (_c.c_int, [_c.c_void_p, _c.c_void_p, _tokens, _c.c_size_t,
                                _out(_c.c_void_p)]),
    "tidal_eval_kld": (_c.c_int, [_c.c_void_p, _c.c_void_p, _c.c_char_p, _tokens, _c.c_size_t,
                                  _c.c_size_t, PROGRESS, _c.c_void_p, _out(_c.c_void_p)]),
    "tidal_cancel": (None, [_c.c_void_p]),
    "tidal_request_free": (None, [_c.c_void_p]),
    "tidal_next": (_c.c_int, [_c.c_void_p, _out(_c.c_int), _out(_c.c_void_p),
                              _out(_c.c_size_t)]),
    "tidal_request_text": (_c.c_void_p, [_c.c_void_p, _c.c_int, _out(_c.c_size_t)]),
    "tidal_request_number": (_c.c_double, [_c.c_void_p, _c.c_int]),
    "tidal_request_tokens": (_tokens, [_c.c_void_p, _out(_c.c_size_t)]),
}

EVENT_TEXT, EVENT_DONE = 2, 3
TEXT, FINISH_REASON, ERROR, METHOD, PLAN = range(5)
(PROMPT_TOKENS, PROMPT_READ, REUSED_TOKENS, CORRECTIONS, ROWS_READ, ROWS_TOTAL, ROWS_SHARE,
 PREFILL_MS, DECODE_MS, DRAFTED, ACCEPTED) = range(11)


@functools.cache
def library() -> ctypes.CDLL:
    """libtidal, loaded when it is first needed: tidal.plots does without."""
    if not _PATH.exists():
        raise ImportError(f"there is no {_PATH}: install the package with 'pip install ./python'")
    loaded = ctypes.CDLL(str(_PATH))
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(loaded, name)
        function.restype = result
        function.argtypes = arguments
    return loaded


def version() -> str:
    return library().tidal_version().decode()


def check(status: int) -> None:
    if status != 0:
        raise error_of(status, library().tidal_last_error().decode(errors="replace"),
                       library().tidal_last_error_option().decode(errors="replace"))


def text_of(address: int | None, size: int) -> str:
    return ctypes.string_at(address, size).decode(errors="replace") if size else ""


def token_array(tokens: list[int]) -> ctypes.Array[ctypes.c_int32]:
    return (ctypes.c_int32 * len(tokens))(*tokens)


def take_tokens(tokens: ctypes._Pointer[ctypes.c_int32], n_tokens: int) -> list[int]:
    try:
        return tokens[:n_tokens]
    finally:
        library().tidal_free(tokens)


def take_text(address: ctypes.c_void_p, size: int) -> str:
    try:
        return text_of(address.value, size)
    finally:
        library().tidal_free(address)


def c_string(text: str) -> bytes:
    """For the functions that take texts up to a zero."""
    if "\0" in text:
        raise ValueError("a text holds a zero character, leave it out")
    return text.encode()


def run_interruptibly(work: Callable[[KeepGoing], None],
                      progress: Callable[[int, int], object] | None) -> None:
    """Calls work with a callback that calls progress. Ctrl-C, or what progress raises, ends it
    early and is raised. Work runs in a thread of its own: Python raises KeyboardInterrupt in the
    main one only, and a callback is no place to raise in."""
    raised: list[BaseException] = []

    def keep_going(_: int | None, done: int, total: int) -> int:
        try:
            if progress is not None and not raised:
                progress(done, total)
        except BaseException as error:
            raised.append(error)
        return int(not raised)

    def run() -> None:
        try:
            work(PROGRESS(keep_going))
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive():
        try:
            thread.join()
        except KeyboardInterrupt as interrupt:
            raised.append(interrupt)
    if raised:
        raise raised[0]


class Options:
    """tidal_options of keywords."""

    def __init__(self, keywords: dict[str, object]) -> None:
        self.handle = library().tidal_options_new()
        for name, value in keywords.items():
            if value is None:
                continue
            for item in value if isinstance(value, (list, tuple)) else [value]:
                text = str(item).lower() if isinstance(item, bool) else str(item)
                check(library().tidal_options_set(self.handle, c_string(name),
                                                        c_string(text)))

    def __del__(self) -> None:
        if getattr(self, "handle", None):
            library().tidal_options_free(self.handle)
