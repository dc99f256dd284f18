# What a type checker sees of the names that __init__.py hands on (tests/utils/test_lazy_stubs.py).
from mas_fast.ops.reference.checks import check_finite as check_finite
from mas_fast.ops.reference.checks import has_values as has_values
from mas_fast.ops.reference.sampling import check_sampling as check_sampling
from mas_fast.ops.reference.sampling import exact_exp as exact_exp
from mas_fast.ops.reference.sampling import exact_log as exact_log
from mas_fast.ops.reference.sampling import guided_logits as guided_logits
from mas_fast.ops.reference.sampling import gumbel_noise as gumbel_noise
from mas_fast.ops.reference.sampling import kept_mask as kept_mask
from mas_fast.ops.reference.sampling import nan_error as nan_error
from mas_fast.ops.reference.sampling import philox4x32 as philox4x32
from mas_fast.ops.reference.sampling import sample as sample
from mas_fast.ops.reference.vq import check_codes as check_codes
from mas_fast.ops.reference.vq import check_vq as check_vq
from mas_fast.ops.reference.vq import check_vq_statistics as check_vq_statistics
from mas_fast.ops.reference.vq import vq_nearest as vq_nearest
from mas_fast.ops.reference.vq import vq_statistics as vq_statistics
