# What a type checker sees of the names that __init__.py hands on (tests/utils/test_lazy_stubs.py).
from mas_fast import bundle as bundle
from mas_fast import deploy as deploy
from mas_fast import generation as generation
from mas_fast import ops as ops
from mas_fast import streams as streams
from mas_fast.bundle.hub import push_to_hub as push_to_hub
from mas_fast.models import gpt as gpt
from mas_fast.ops import reference as reference
from mas_fast.pipelines import torch_pipeline
from mas_fast.pipelines.torch_pipeline import generate as generate
from mas_fast.pipelines.torch_pipeline import load as load
from mas_fast.version import __version__ as __version__

model = torch_pipeline
