"""The definition of every op in plain PyTorch: any device, the same signatures as in ops.

Those of the sampler and of the nearest codes can be had from here.
"""

from mas_fast.utils.lazy import names_of

__getattr__, __dir__, __all__ = names_of(
    __name__,
    {
        "sampling": ("check_codes", "check_finite", "check_sampling", "check_vq")
        + ("check_vq_statistics", "exact_exp", "exact_log", "guided_logits", "gumbel_noise")
        + ("has_values", "kept_mask", "nan_error", "philox4x32", "sample", "vq_nearest")
        + ("vq_statistics",),
    },
)
