"""`from mas_fast.deploy import Pipeline`: captions in, pictures out, without torch."""

from mas_fast.pipelines.onnx_pipeline import Pipeline as Pipeline
