#!/usr/bin/env python3
"""chat.py MODEL: a conversation on the terminal; Ctrl-C ends an answer, Ctrl-D the program."""

import sys

import tidal


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(f"usage: {sys.argv[0]} MODEL")
    messages: list[tidal.Message] = []
    with tidal.Engine(sys.argv[1], max_tokens=256) as engine:
        while True:
            try:
                messages.append({"role": "user", "content": input("> ")})
            except EOFError:
                return
            answer = engine.chat(messages, stream=True)
            try:
                for piece in answer:
                    print(piece, end="", flush=True)
            except KeyboardInterrupt:
                answer.close()
            done = answer.completion
            print(f"\n[{done.method} read {100 * done.rows_share:.1f} % of the cache rows]")
            messages.append({"role": "assistant", "content": done.text})


if __name__ == "__main__":
    try:
        main()
    except tidal.Error as error:
        raise SystemExit(f"error: {error}")
