"""The ONNX files of a bundle: their names, what graphs take and give, what they say of themselves.
No torch, and no onnx either.

    BUNDLE/onnx/{vq_seg,vq_img}_{encoder,decoder}.{fp32,fp16}.onnx
    BUNDLE/onnx/{vq_seg,vq_img}_decoder.int8.onnx

    found = read_metadata("my-bundle/onnx/vq_img_decoder.fp32.onnx")     # or an open session
    found.check(file, model="vq_img", part="decoder", dtype="fp32", config=config)

An encoder ends in codes and a decoder begins with them; fp16 and int8 are inside, so the inputs and
outputs are those of fp32. A file carries one JSON object under the key "mas_fast", from which
everything here is read, and beside it the same for the eyes of people.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Any

from mas_fast.models.vqvae_config import VQConfig
from mas_fast.scene.labels import VOID
from mas_fast.utils.documents import parse_json, short
from mas_fast.utils.validate import check_choice, exact_keys

FORMAT, KEY, FOLDER = 1, "mas_fast", "onnx"
REPORT_FILE = "parity.json"
MODELS, PARTS = ("vq_seg", "vq_img"), ("encoder", "decoder")
FLOATS = ("fp32", "fp16")
DTYPES = (*FLOATS, "int8")
QUANTIZED = "decoder"  # the part that there is in int8
FIDELITY = {"vq_seg": "agreement", "vq_img": "psnr"}  # what is measured of it
GRAPHS = tuple(
    (model, part, dtype)
    for model in MODELS
    for dtype in DTYPES
    for part in PARTS
    if dtype != "int8" or part == QUANTIZED
)
INPUTS = {"vq_seg": "labels", "vq_img": "image"}  # VQConfig.input


@dataclass(frozen=True)
class Value:
    """One input or output of a graph.

    Attributes:
        name: its name in the graph.
        dtype: numpy's name of its dtype.
        shape: sizes, "batch" in front.
    """

    name: str
    dtype: str
    shape: tuple[str | int, ...]


@dataclass(frozen=True)
class Metadata:
    """What a file says of itself.

    Attributes:
        model: "vq_seg" or "vq_img".
        part: "encoder" or "decoder".
        dtype: of the arithmetic, "fp32", "fp16" or "int8".
        config: the config of the tokenizer.
        bundle: the SHA-256 of the weights file that it was made from.
        psnr: of VQ-IMG in int8: in dB, of pictures beside those of the fp32 graph; else None.
        agreement: of VQ-SEG in int8: the share of pixels whose label is the fp32 graph's, or whose
            edge bit if that is less; else None.
    """

    model: str
    part: str
    dtype: str
    config: VQConfig
    bundle: str
    psnr: float | None = None
    agreement: float | None = None

    def __post_init__(self) -> None:
        file_name(self.model, self.part, self.dtype)  # checks them
        if not isinstance(self.config, VQConfig) or self.config.input != INPUTS[self.model]:
            expected = f"expected one of {INPUTS[self.model]!r}"
            raise ValueError(f"{self.model}: found the config {self.config!r}, {expected}")
        digits = self.bundle if isinstance(self.bundle, str) else ""
        if len(digits) != 64 or set(digits) - set("0123456789abcdef"):
            problem = f"found {short(self.bundle)}"
            raise ValueError(f"bundle: {problem}, expected a SHA-256 in hexadecimal")
        for model, name in FIDELITY.items():
            value, needed = getattr(self, name), (self.model, self.dtype) == (model, "int8")
            measured = isinstance(value, float) and math.isfinite(value)
            if not (measured if needed else value is None):
                expected = "a number" if needed else "none"
                raise ValueError(f"{name}: found {short(value)}, expected {expected}")

    @property
    def file_name(self) -> str:
        """As the function `file_name`."""
        return file_name(self.model, self.part, self.dtype)

    @property
    def inputs(self) -> tuple[Value, ...]:
        """Inputs of the graph, in order."""
        return (_codes(self.config),) if self.part == "decoder" else _source(self.config)

    @property
    def outputs(self) -> tuple[Value, ...]:
        """Outputs of the graph, in order."""
        return (_codes(self.config),) if self.part == "encoder" else (_result(self.config),)

    def to_properties(self) -> dict[str, str]:
        """The values of the file's metadata_props; `from_properties` reads them back."""
        values = {name: getattr(self, name) for name in _names(self.model, self.dtype)}
        values = {"format": FORMAT} | values | {"config": self.config.to_dict()}
        side = self.config.resolution // self.config.f
        properties = {"grid": f"{side} x {side}", "codes": str(self.config.codes)}
        if self.config.input == "labels":
            labels = self.config.channels - self.config.has_edges
            edges = f", channel {labels}: the edge bit" if self.config.has_edges else ""
            properties["label_layout"] = self.config.layout or "labels without edges"
            properties["value_range"] = f"labels 0..{labels - 1}, {VOID}: void; logits{edges}"
        else:
            properties["value_range"] = "[-1, 1]; a decoder's image is not clamped"
        return {KEY: json.dumps(values)} | properties

    @classmethod
    def from_properties(cls, properties: dict[str, str]) -> Metadata:
        """The inverse of `to_properties`.

        Raises:
            ValueError: if it is none; the message says what was found and expected.
        """
        if KEY not in properties:
            raise ValueError(
                f"found metadata {sorted(properties)}, expected the key {KEY!r}: "
                "this graph was not made by `mas-fast export onnx`"
            )
        values: Any = parse_json(properties[KEY], KEY)
        if values.get("format", FORMAT) != FORMAT:
            raise ValueError(f"format: found {short(values['format'])}, expected {FORMAT}")
        names = _names(values.get("model"), values.get("dtype"))
        exact_keys(KEY, values, ["format", *names])
        chosen = {name: values[name] for name in names}
        return cls(**chosen | {"config": VQConfig.from_dict(chosen["config"])})

    def check(self, file: str | os.PathLike, **expected: object) -> None:
        """Compare fields, as check(file, model="vq_img", config=config).

        Raises:
            ValueError: if a field is another than the given one; the message names the file, the
                value found and the one expected.
        """
        for name, value in expected.items():
            actual = getattr(self, name)
            if actual == value:
                continue
            if isinstance(value, VQConfig):
                for field in fields(VQConfig):
                    ours, theirs = getattr(actual, field.name), getattr(value, field.name)
                    if ours != theirs:
                        name, actual, value = f"{name}.{field.name}", ours, theirs
                        break
            raise ValueError(f"{file}: {name}: found {actual!r}, expected {value!r}")


def file_name(model: str, part: str, dtype: str) -> str:
    """The name of a file, as "vq_img_decoder.fp32.onnx".

    Raises:
        ValueError: if the model, part or dtype is unknown, or there is no such graph in int8.
    """
    check_choice("model", model, MODELS)
    check_choice("part", part, PARTS)
    if part == QUANTIZED:
        check_choice("dtype", dtype, DTYPES)
    else:
        check_choice("dtype", dtype, FLOATS, f"for {model}_{part}")
    return f"{model}_{part}.{dtype}.onnx"


def dtype_of(model: str, part: str, dtype: str) -> str:
    """The dtype of a graph where `dtype` is asked of all: with int8, decoders in int8 run beside
    encoders in fp32.

    Raises:
        ValueError: if the dtype is unknown.
    """
    check_choice("dtype", dtype, DTYPES)
    return "fp32" if dtype == "int8" and part != QUANTIZED else dtype


def read_metadata(source: Any, file: str | os.PathLike | None = None) -> Metadata:
    """Read what a graph says of itself; its inputs and outputs are checked against that.

    Args:
        source: an ONNX file, or an open onnxruntime.InferenceSession.
        file: what errors call a session.

    Raises:
        ValueError: if onnxruntime does not load it, or if it has no metadata of ours, or another
            graph than they say.
        ImportError: if onnxruntime is not installed.
    """
    name = source if file is None else file
    if isinstance(source, str | os.PathLike):
        source = _open(Path(source))
    elif file is None:
        name = "ONNX session"
    try:
        metadata = Metadata.from_properties(dict(source.get_modelmeta().custom_metadata_map))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    for side, given, expected in (
        ("inputs", source.get_inputs(), metadata.inputs),
        ("outputs", source.get_outputs(), metadata.outputs),
    ):
        values = tuple(Value(v.name, _numpy_name(v.type), tuple(v.shape)) for v in given)
        if values != expected:
            raise ValueError(f"{name}: {side}: found {values}, expected {expected}")
    return metadata


def sha256(file: str | os.PathLike) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open(file, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def import_onnxruntime() -> ModuleType:
    """The module onnxruntime.

    Raises:
        ImportError: if it is not installed; the message names the extra that has it.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            f"ONNX files need onnxruntime: {error}. In a checkout of mas_fast run: "
            'pip install -e ".[onnx]", or ".[onnx-gpu]" for GPUs'
        ) from error
    return onnxruntime


def _open(file: Path) -> Any:
    """A session without optimisations, for what it says of the file."""
    onnxruntime = import_onnxruntime()
    if not file.is_file():
        raise ValueError(f"{file}: found no such file, expected one of `mas-fast export onnx`")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own classes share no base but this
        raise ValueError(f"{file}: found no ONNX graph that onnxruntime loads: {error}") from error


def _names(model: object, dtype: object) -> list[str]:
    """The fields that a file has."""
    left = {name for owner, name in FIDELITY.items() if (owner, "int8") != (model, dtype)}
    return [field.name for field in fields(Metadata) if field.name not in left]


def _source(config: VQConfig) -> tuple[Value, ...]:
    size = ("batch", config.resolution, config.resolution)
    if config.input == "image":
        return (Value("image", "float32", ("batch", config.channels, *size[1:])),)
    edges = (Value("edges", "bool", size),) if config.has_edges else ()
    return (Value("labels", "uint8", size), *edges)


def _result(config: VQConfig) -> Value:
    name = "image" if config.input == "image" else "logits"
    size = (config.resolution, config.resolution)
    return Value(name, "float32", ("batch", config.channels, *size))


def _codes(config: VQConfig) -> Value:
    side = config.resolution // config.f
    return Value("codes", "int64", ("batch", side, side))


def _numpy_name(kind: str) -> str:
    """Of onnxruntime's name of a type, as tensor(float)."""
    name = kind.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(name, name)
