"""mas_fast: a small, fast Make-A-Scene.

Submodules are imported on first use, so `import mas_fast` does not import torch.
"""

import importlib

__version__ = "0.1.0"
__all__ = ["bundle", "generation", "gpt", "ops", "reference", "streams"]


def __getattr__(name: str):
    if name in __all__:
        return importlib.import_module(f"mas_fast.{name}")
    raise AttributeError(f"module 'mas_fast' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
