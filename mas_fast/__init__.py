"""mas_fast: a small, fast Make-A-Scene.

    out = mas_fast.generate("an elephant walks in the park", seed=7)
    out.images[0].save("elephant.png")
    model = mas_fast.load("my-bundle")      # mas_fast.model describes both

Everything is imported on first use, so `import mas_fast` does not import torch.
"""

import importlib

__version__ = "0.1.0"
_MODEL = ["generate", "load"]
__all__ = ["bundle", "deploy", "generation", "gpt", "model", "ops", "reference", "streams", *_MODEL]


def __getattr__(name: str):
    if name in _MODEL:
        return getattr(importlib.import_module("mas_fast.model"), name)
    if name in __all__:
        return importlib.import_module(f"mas_fast.{name}")
    raise AttributeError(f"module 'mas_fast' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
