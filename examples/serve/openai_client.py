#!/usr/bin/env python3
"""openai_client.py [URL]: OpenAI's Python client with `tidal serve`; needs `pip install openai`."""

import os
import sys

from openai import OpenAI


def main() -> None:
    url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
    client = OpenAI(base_url=f"{url}/v1", api_key=os.environ.get("TIDAL_API_KEY", "none"))
    stream = client.chat.completions.create(
        model=client.models.list().data[0].id,
        messages=[{"role": "user", "content": "Name three colours."}],
        max_tokens=32,
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"tidal": {"budget": "10%"}},
    )
    for chunk in stream:
        for choice in chunk.choices:
            print(choice.delta.content or "", end="", flush=True)
        if chunk.usage:
            read = chunk.model_extra["tidal"]
            print(f"\n[{read['method']} read {100 * read['rows_share']:.1f} % of the cache rows]")


if __name__ == "__main__":
    main()
