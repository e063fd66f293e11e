"""The one exception of tidal."""

from __future__ import annotations

# By tidal_status.
_CODES = {1: "invalid_argument", 2: "not_found", 3: "io", 4: "corrupt", 5: "unsupported",
          6: "exhausted"}


class Error(RuntimeError):
    """What failed, where and what to do, in one line.

    code: invalid_argument, not_found, io, corrupt, unsupported, exhausted or internal.
    option: the keyword at fault, or None.
    """

    def __init__(self, message: str, code: str = "internal", option: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.option = option


def error_of(status: int, message: str, option: str) -> Error:
    return Error(message, _CODES.get(status, "internal"), option or None)
