# What a type checker sees of the names that __init__.py hands on (tests/utils/test_lazy_stubs.py).
from mas_fast.ops import reference as reference
from mas_fast.ops.dispatch import default_impl as default_impl
from mas_fast.ops.dispatch import load_library as load_library
from mas_fast.ops.functional import attention as attention
from mas_fast.ops.functional import label_conv as label_conv
from mas_fast.ops.functional import sample as sample
from mas_fast.ops.functional import stream_cross_entropy as stream_cross_entropy
from mas_fast.ops.functional import vq_nearest as vq_nearest
from mas_fast.ops.functional import vq_statistics as vq_statistics
from mas_fast.ops.step_sampling import sample_step as sample_step
