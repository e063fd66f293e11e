#!/usr/bin/env python3
"""langchain_client.py [URL]: LangChain with `tidal serve`; needs `pip install langchain-openai`.

A call of a tool, held to the tool's form (that takes a build with xgrammar), then a streamed answer.
"""

import os
import sys

from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


@tool
def weather(city: str) -> str:
    """How the weather is in a city."""
    return f"Rain in {city}."


def main() -> None:
    url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
    model = ChatOpenAI(base_url=f"{url}/v1", api_key=os.environ.get("TIDAL_API_KEY", "none"),
                       model="tidal", temperature=0, max_tokens=64,
                       extra_body={"tidal": {"budget": "10%"}})
    asked = model.bind_tools([weather], tool_choice="weather").invoke("How is the weather in Kiel?")
    for call in asked.tool_calls:
        print(f"[{call['name']}({call['args']}): {weather.invoke(call['args'])}]")
    for piece in model.stream("Name three colours."):
        print(piece.content, end="", flush=True)
    print()


if __name__ == "__main__":
    main()
