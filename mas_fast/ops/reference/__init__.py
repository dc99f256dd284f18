"""The definition of every op in plain PyTorch: any device, the same signatures as `mas_fast.ops`.

The docstrings of `mas_fast.ops` describe the arguments, results and errors. The definitions of the
sampler and of the nearest codes can be imported from here; the others bear the names of their
files.
"""

from mas_fast.utils.lazy import names_of

__getattr__, __dir__, __all__ = names_of(
    __name__,
    {
        "checks": ("check_finite", "has_values"),
        "sampling": ("check_sampling", "exact_exp", "exact_log", "guided_logits", "gumbel_noise")
        + ("kept_mask", "nan_error", "philox4x32", "sample"),
        "step_sampling": ("check_sample_step", "sample_step"),
        "vq": ("check_codes", "check_vq", "check_vq_statistics", "vq_nearest", "vq_statistics"),
    },
)
