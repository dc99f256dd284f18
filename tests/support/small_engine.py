"""An engine of one layer, and what it is made of."""

import numpy as np
import pytest

native = pytest.importorskip("mas_fast._engine", reason="not built: pip install -e .")

CONFIG = {
    "dim": 8,
    "layers": 1,
    "heads": 2,
    "mlp": 16,
    "qk_norm": False,
    "norm_eps": 1e-5,
    "streams": [{"name": "a", "length": 3, "vocab": 5}, {"name": "b", "length": 4, "vocab": 7}],
}
SHAPES = {
    "blocks.0.norm1.weight": (8,),
    "blocks.0.norm1.bias": (8,),
    "blocks.0.attention.qkv.weight": (24, 8),
    "blocks.0.attention.qkv.bias": (24,),
    "blocks.0.attention.proj.weight": (8, 8),
    "blocks.0.attention.proj.bias": (8,),
    "blocks.0.norm2.weight": (8,),
    "blocks.0.norm2.bias": (8,),
    "blocks.0.mlp.up.weight": (16, 8),
    "blocks.0.mlp.up.bias": (16,),
    "blocks.0.mlp.down.weight": (8, 16),
    "blocks.0.mlp.down.bias": (8,),
    "norm.weight": (8,),
    "norm.bias": (8,),
    "embed.a.weight": (5, 8),
    "embed.b.weight": (7, 8),
    "position.a.weight": (3, 8),
    "position.b.weight": (4, 8),
    "head.a.weight": (5, 8),
    "head.b.weight": (7, 8),
}
RNG = np.random.default_rng(0)
WEIGHTS = {name: RNG.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}
SETTINGS = {
    "guidance": np.array([1.0] * 3 + [2.0] * 4),
    "temperature": [1.0, 1.0],
    "top_k": [None, 3],
    "top_p": [None, 0.9],
}
FORCED = np.array([[1, 2, 3, -1, -1, -1, -1]], np.int32)
NULL = np.zeros((1, 3), np.int32)


def make(config=CONFIG, weights=WEIGHTS, **options):
    return native.Engine(config, weights.items(), **{"dtype": "fp32", "threads": 2, **options})
