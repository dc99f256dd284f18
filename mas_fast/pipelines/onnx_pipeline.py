"""Captions in, pictures out, without torch: the C++ engine draws the tokens, onnxruntime runs the
tokenizers.

    pipeline = Pipeline("my-bundle")                      # `mas-fast export onnx` made its files
    out = pipeline.generate("a red house beside a lake at dusk", seed=7)
    out.images[0].save("house.png")
    codes = pipeline.encode([picture])                    # uint8 [H, W, 3], Pillow's, or Scenes
    (picture,) = pipeline.decode("img", codes)

The tokens are those of `mas_fast.generate` with its engine "cpp", and pictures its pictures within
one step of 255.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import numpy as np
from PIL import Image

from mas_fast.bundle import Bundle, find_bundle
from mas_fast.generation.cpp import CppEngine
from mas_fast.generation.engines import check_engine
from mas_fast.models.codec import Codec, Item
from mas_fast.onnx.codec import OnnxCodec
from mas_fast.onnx.files import DTYPES, import_onnxruntime
from mas_fast.onnx.session import find_providers
from mas_fast.pipelines.base import Painter
from mas_fast.scene import Scene
from mas_fast.utils.validate import check_choice, check_int
from mas_fast.version import __version__

ENGINE = "cpp"  # which of generation.ENGINES runs here


class Pipeline(Painter[OnnxCodec]):
    """A bundle made ready, without torch.

    Decoders are opened at once, encoders when they are first needed.

    Args:
        path: the bundle, or, where there is no such folder, one of the Hugging Face hub, as
            "owner/name" or "owner/name@revision"; None: the one that comes with mas_fast.
        providers: where the tokenizers run, some of "tensorrt", "cuda" and "cpu"; None: those that
            onnxruntime offers.
        dtype: in which the GPT computes, "fp32", "bf16", "int8" or "int4".
        onnx_dtype: of the ONNX files, "fp32", "fp16", or "int8": decoders in int8, encoders in
            fp32.
        threads: of the engine and of onnxruntime; 0: all cores.

    Raises:
        ValueError: names what was found and what is allowed; also for a provider that was asked for
            and does not start.
        ImportError: where onnxruntime is not installed or the C++ engine is not built.
    """

    engine: CppEngine

    def __init__(
        self,
        path: str | os.PathLike | None = None,
        *,
        providers: str | Sequence[str] | None = None,
        dtype: str = "fp32",
        onnx_dtype: str = "fp32",
        threads: int = 0,
    ) -> None:
        bundle = Bundle(find_bundle(path), "gpt")
        find_providers(providers)
        check_engine(ENGINE, dtype=dtype)
        check_choice("onnx_dtype", onnx_dtype, DTYPES)
        check_int("threads", threads, 0)
        self._graphs: dict[str, Any] = {
            "providers": providers,
            "dtype": onnx_dtype,
            "threads": threads,
        }
        super().__init__(bundle)
        self.onnx_dtype = onnx_dtype
        self.engine = CppEngine(bundle, dtype=dtype, threads=threads)

    def encode(self, items: Sequence[np.ndarray | Image.Image] | Sequence[Scene]) -> np.ndarray:
        """Turn pictures into VQ-IMG's codes, or scenes into VQ-SEG's.

        Args:
            items: pictures, uint8 [H, W, 3] or Pillow's, or Scenes; of the tokenizer's size.

        Returns:
            int64 [N, h, w].

        Raises:
            ValueError: for other sizes.
        """
        lone = isinstance(items, Scene | Image.Image)  # which the codec refuses
        first = items if lone else next(iter(items), None)
        return self._named("seg" if isinstance(first, Scene) else "img").encode(items)

    def decode(self, stream: str, codes: np.ndarray) -> list[Item]:
        """Turn codes back into scenes or pictures.

        Args:
            stream: "seg" or "img".
            codes: integers [N, h, w].

        Returns:
            Scenes, or pictures, uint8 [H, W, 3].

        Raises:
            ValueError: for another shape or dtype, and for ids out of range.
        """
        return self._named(stream).decode(codes)

    def info(self) -> dict:
        """Tell what runs, in plain JSON types.

        Returns:
            A dict with these keys.

            versions: of Python and the packages in use.
            engine: the dtype, instruction set and threads of the GPT.
            onnx_dtype: of the ONNX files.
            graphs: the provider of each ONNX file that is open.
        """
        runtime, native_engine = import_onnxruntime(), self.engine.native
        versions = {
            "python": platform.python_version(),
            "mas_fast": __version__,
            "onnxruntime": runtime.__version__,
            "numpy": np.__version__,
            "tokenizers": metadata.version("tokenizers"),
        }
        opened = {
            k: v for codec in (self.seg, self.img) if codec for k, v in codec.sessions.items()
        }
        return {
            "versions": versions,
            "engine": {
                "dtype": native_engine.dtype,
                "isa": native_engine.isa,
                "threads": native_engine.threads,
            },
            "onnx_dtype": self.onnx_dtype,
            "graphs": {name: session.provider for name, session in opened.items()},
        }

    def _named(self, stream: str) -> Codec:
        check_choice("stream", stream, self.streams.names[1:])
        return getattr(self, stream)

    def _codec(self, name: str) -> OnnxCodec:
        codec = OnnxCodec(self.bundle, name, **self._graphs)
        codec.open("decoder")
        return codec
