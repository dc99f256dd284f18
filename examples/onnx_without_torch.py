"""Text to picture without torch: the C++ engine draws the tokens, onnxruntime decodes them.

    pip install ".[onnx]" && python examples/onnx_without_torch.py

Writes onnx_without_torch.png. Needs onnxruntime; torch is kept from being imported, to show that
nothing asks for it.
"""

import sys
import time

sys.modules["torch"] = None  # an import of torch is an ImportError from here on

from mas_fast.deploy import Pipeline  # noqa: E402

start = time.perf_counter()
pipeline = Pipeline(threads=2)  # the model that comes with mas_fast; a path: one of yours
out = pipeline.generate("a boat on a lake in winter", seed=7)
out.images[0].save("onnx_without_torch.png")
print(f"onnx_without_torch.png in {time.perf_counter() - start:.1f} s")

# The tokens themselves, for other programs. They decode to the same picture again.
codes = out.tokens[:, pipeline.streams.slice("img")].reshape(1, *pipeline.streams["img"].grid)
(pixels,) = pipeline.decode("img", codes)
assert pixels.tobytes() == out.images[0].tobytes()
print(pipeline.info()["engine"], pipeline.info()["graphs"])
