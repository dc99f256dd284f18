"""The operations that models are made of, each with several implementations.

`functional` has the public ops, `dispatch` chooses the implementation that runs here, and
`reference` defines every op.
"""

from mas_fast.utils.lazy import names_of

__getattr__, __dir__, __all__ = names_of(
    __name__,
    {
        "dispatch": ("default_impl", "load_library"),
        "functional": ("attention", "label_conv", "sample", "stream_cross_entropy")
        + ("vq_nearest", "vq_statistics"),
        "step_sampling": ("sample_step",),
    },
    modules={"reference": "reference"},
)
