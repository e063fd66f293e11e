"""tidal decodes long contexts fast with position persistent sparse attention.

    import tidal

    with tidal.Engine("model.gguf", budget="10%") as engine:
        for piece in engine.generate("Once upon a time", stream=True):
            print(piece, end="", flush=True)
        print(engine.chat([{"role": "user", "content": "Who are you?"}]).text)

Options are keywords, named and explained in docs/options.md. What fails raises tidal.Error.
Figures of results: `python -m tidal.plots`, with tidal[plots].
"""

from tidal._engine import Completion, Engine, Generation, Message
from tidal._errors import Error
from tidal._native import version as _version

__all__ = ["Completion", "Engine", "Error", "Generation", "Message"]


def __getattr__(name: str) -> str:
    if name == "__version__":
        return _version()
    raise AttributeError(f"module 'tidal' has no attribute {name!r}")
