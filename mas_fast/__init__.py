"""mas_fast: a small, fast Make-A-Scene.

    out = mas_fast.generate("an elephant walks in the park", seed=7)
    out.images[0].save("elephant.png")
    model = mas_fast.load("my-bundle")      # mas_fast.model describes both
    model = mas_fast.load("owner/name")     # of the Hugging Face hub

Everything is imported on first use, so `import mas_fast` does not import torch.
"""

from mas_fast.utils.lazy import names_of
from mas_fast.version import __version__ as __version__

__getattr__, __dir__, __all__ = names_of(
    __name__,
    {"bundle.hub": ("push_to_hub",), "pipelines.torch_pipeline": ("generate", "load")},
    modules={
        "bundle": "bundle",
        "deploy": "deploy",
        "generation": "generation",
        "gpt": "models.gpt",
        "model": "pipelines.torch_pipeline",
        "ops": "ops",
        "reference": "ops.reference",
        "streams": "streams",
    },
)
