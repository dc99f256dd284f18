"""A bundle's tokenizer by its ONNX files. No torch.

codec = OnnxCodec("my-bundle", "vq_img", providers=["cuda"])
codec.decode(codec.encode([picture]))                            # codec.py
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mas_fast.bundle.config import read_vq_config
from mas_fast.models.codec import Codec, Item
from mas_fast.onnx.files import FOLDER, dtype_of, file_name, read_metadata, sha256
from mas_fast.onnx.session import Session
from mas_fast.scene.labels import layout_named
from mas_fast.scene.scene import Scene


class OnnxCodec(Codec):
    """A tokenizer of a bundle by its ONNX files, which are opened when they are first used.

    Args:
        path: the bundle.
        name: "vq_seg" or "vq_img".
        providers: as for Session.
        dtype: of the files, "fp32", "fp16", or "int8": the decoder in int8, the encoder in fp32.
        threads: as for Session.

    Raises:
        ValueError: if the bundle is none; or, when they are opened, if files are missing, broken,
            or made from another tokenizer than config.json, VQ weights beside it, or the other part
            say.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        name: str,
        *,
        providers: str | Sequence[str] | None = None,
        dtype: str = "fp32",
        threads: int = 0,
    ) -> None:
        super().__init__(f"{path}: {name}", read_vq_config(path, name))
        dtype_of(name, "decoder", dtype)  # checks dtype
        self.path, self.name, self.dtype = Path(path), name, dtype
        self._providers, self._threads = providers, threads
        self._bundle: str | None = None
        self.sessions: dict[str, Session] = {}  # by name of the file, as far as opened

    def open(self, part: str) -> Session:
        """The session of the "encoder" or the "decoder"."""
        dtype = dtype_of(self.name, part, self.dtype)
        name = file_name(self.name, part, dtype)
        if name not in self.sessions:
            self.sessions[name] = self._open(self.path / FOLDER / name, part, dtype)
        return self.sessions[name]

    @property
    def bundle(self) -> str:
        """The SHA-256 of the weights that the files opened so far were made from.

        Raises:
            ValueError: if no file is open yet.
        """
        if self._bundle is None:
            raise ValueError(f"{self.subject}: found no open graph, expected one: call open before")
        return self._bundle

    def _open(self, file: Path, part: str, dtype: str) -> Session:
        if not file.is_file():
            others = sorted(other.name for other in file.parent.glob("*.onnx"))
            expected = f"expected what `mas-fast export onnx {self.path} -o {self.path}` makes"
            raise ValueError(f"{file}: found no such file, beside it {others}, {expected}")
        session = Session(file, self._providers, self._threads)
        metadata = read_metadata(session.inference, file)
        metadata.check(file, model=self.name, part=part, dtype=dtype, config=self.config)
        weights = self.path / f"{self.name}.safetensors"
        bundle = self._bundle or (sha256(weights) if weights.is_file() else metadata.bundle)
        if metadata.bundle != bundle:
            raise ValueError(
                f"{file}: found a graph of other weights, whose SHA-256 is {metadata.bundle}, "
                f"expected {bundle}, as {self.name} of this bundle has: export it again"
            )
        self._bundle = bundle
        return session

    def _encode(self, item: Item) -> np.ndarray:
        if isinstance(item, Scene):
            return self.open("encoder").run(item.labels[None], item.edges[None])
        image = item.transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1
        return self.open("encoder").run(image)

    def _decode(self, codes: np.ndarray) -> list[Item]:
        return [self._item(values) for values in self.open("decoder").run(codes)]

    def _item(self, values: np.ndarray) -> Item:
        if self.config.layout is None:
            pixels = np.rint((values.clip(-1, 1) + 1) * 127.5).astype(np.uint8)
            return np.ascontiguousarray(pixels.transpose(1, 2, 0))
        layout = layout_named(self.config.layout)
        channels = layout.label_channels  # mas159 has one that is no label
        labels = channels[values[channels].argmax(0)].astype(np.uint8)
        return Scene(labels, values[layout.edge_channel] > 0, layout)
