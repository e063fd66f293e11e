#!/usr/bin/env python3
"""anthropic_client.py [URL]: Anthropic's client with `tidal serve`; needs `pip install anthropic`."""

import os
import sys

from anthropic import Anthropic


def main() -> None:
    url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
    client = Anthropic(base_url=url, api_key=os.environ.get("TIDAL_API_KEY", "none"))
    with client.messages.stream(
        model="any",
        max_tokens=32,
        messages=[{"role": "user", "content": "Name three colours."}],
    ) as stream:
        for text in stream.text_stream:
            print(text, end="", flush=True)
    print(f"\n[{stream.get_final_message().usage.cache_read_input_tokens} tokens needed no reading]")


if __name__ == "__main__":
    main()
