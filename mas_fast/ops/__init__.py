"""The operations that models are made of, each with several implementations: ops.functional says
what each does, ops.reference defines it, and ops.dispatch chooses."""

from mas_fast.utils.lazy import names_of

__getattr__, __dir__, __all__ = names_of(
    __name__,
    {
        "functional": ("attention", "default_impl", "label_conv", "load_library", "sample")
        + ("stream_cross_entropy", "vq_nearest", "vq_statistics"),
    },
)
