"""Caption tokens in, scene and picture tokens out: what is asked (`request`), engines behind one
protocol (`engine`), the table of them (`engines`), the two calls that most need (`tokens`), and how
well tokens show their captions (`scoring`)."""

from mas_fast.utils.lazy import names_of

__getattr__, __dir__, __all__ = names_of(
    __name__,
    {
        "cpp": ("CppEngine",),
        "eager": ("EagerEngine",),
        "engine": ("Engine", "Progress", "Run"),
        "engines": ("ENGINES", "EngineSpec", "make_engine"),
        "scoring": ("score_tokens",),
        "tokens": ("generate_tokens", "stream_tokens"),
    },
)
