# What a type checker sees of the names that __init__.py hands on (tests/utils/test_lazy_stubs.py).
from mas_fast.generation.cpp import CppEngine as CppEngine
from mas_fast.generation.eager import EagerEngine as EagerEngine
from mas_fast.generation.engine import Engine as Engine
from mas_fast.generation.engine import Progress as Progress
from mas_fast.generation.engine import Run as Run
from mas_fast.generation.engines import ENGINES as ENGINES
from mas_fast.generation.engines import EngineSpec as EngineSpec
from mas_fast.generation.engines import make_engine as make_engine
from mas_fast.generation.scoring import score_tokens as score_tokens
from mas_fast.generation.tokens import generate_tokens as generate_tokens
from mas_fast.generation.tokens import stream_tokens as stream_tokens
