"""The tokenizers of a bundle as ONNX files.

    report = export_onnx("my-bundle", "deployed")   # deployed/onnx/vq_img_decoder.fp32.onnx, ...
    rich.print(report.table())
    export_onnx("my-bundle", "my-bundle", dtypes=["int8"], draw=calibration.draw)

The folder then has all that a deployment needs: what the bundle has beside its tokenizers' weights
is copied, too. Nothing appears in it until every graph has passed onnx.checker and the comparison
with PyTorch (see parity).
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from mas_fast.bundle.config import (
    BPE_FILE,
    CONFIG_FILE,
    GPT_FILE,
    SAMPLING_FILE,
    WORDS_FILE,
    models_of,
    read_config,
)
from mas_fast.bundle.torch_io import load_vq
from mas_fast.models.vqvae import VQVAE
from mas_fast.onnx import graphs
from mas_fast.onnx.files import (
    DTYPES,
    FIDELITY,
    FLOATS,
    FOLDER,
    GRAPHS,
    MODELS,
    PARTS,
    QUANTIZED,
    REPORT_FILE,
    Metadata,
    file_name,
    read_metadata,
    sha256,
)
from mas_fast.onnx.parity import Parity, Row, compare, compare_drawn, judge, made_up
from mas_fast.onnx.quantize import Drawn, quantize
from mas_fast.utils.files import replace_file
from mas_fast.utils.progress import progress_bar
from mas_fast.utils.validate import check_choice
from mas_fast.version import __version__

OPSET = 20
EXAMPLE = 5  # its batch size is none of the comparison's, nor a number that shapes are made of
TORCH_DTYPES = {"fp32": torch.float32, "fp16": torch.float16}
LIBRARIES = ("onnx", "onnxscript", "onnxruntime")
COPIED = (CONFIG_FILE, BPE_FILE, GPT_FILE, WORDS_FILE, SAMPLING_FILE)


def export_onnx(
    bundle: str | os.PathLike,
    output: str | os.PathLike,
    *,
    parts: Sequence[str] = PARTS,
    dtypes: Sequence[str] = FLOATS,
    draw: Callable[[Path], Mapping[str, Drawn]] | None = None,
    progress: bool = False,
) -> Parity:
    """Write output/onnx/{vq_seg,vq_img}_PART.DTYPE.onnx and parity.json.

    Each tokenizer of the bundle is exported, and the rest of the bundle is copied, unless `output`
    is the bundle itself. Files of these names are replaced, each in one step.

    Args:
        bundle: the bundle.
        output: folder of a bundle that can do without the tokenizers' weights.
        parts: some of "encoder" and "decoder".
        dtypes: some of "fp32", "fp16" and "int8", which is of decoders alone.
        draw: gives, for the path of a bundle, what int8 is calibrated with and measured by, as
            pipelines.calibration.draw does.
        progress: whether to show a progress bar.

    Raises:
        ValueError: if the bundle lacks tokenizers that it needs, if the output folder belongs to
            other weights, or if a graph differs too much from PyTorch; then nothing is written.
            With int8, also if nothing draws.
        ImportError: if onnx, onnxscript or onnxruntime is missing.
    """
    parts, dtypes = _choices("parts", parts, PARTS), _choices("dtypes", dtypes, DTYPES)
    for module in LIBRARIES:
        _import(module)
    bundle, output = Path(bundle), Path(output)
    hashes = {name: sha256(bundle / f"{name}.safetensors") for name in _tokenizers(bundle)}
    wanted = [g for g in GRAPHS if g[0] in hashes and g[1] in parts and g[2] in dtypes]
    if "int8" in dtypes and QUANTIZED not in parts:
        expected = f"expected {QUANTIZED!r} among them: no other part has int8"
        raise ValueError(f"dtypes: found 'int8' with the parts {list(parts)}, {expected}")
    if "int8" in dtypes and draw is None:
        expected = "expected what draws pictures, as mas_fast.pipelines.calibration.draw"
        raise ValueError(f"draw: found None with the dtype int8, {expected}")
    _check_output(bundle, output, hashes, [file_name(*names) for names in wanted])
    folder = output / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    drawn = draw(bundle) if "int8" in dtypes and draw is not None else {}
    rows: list[Row] = []
    problems: list[str] = []
    with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as made:
        bar = progress_bar(wanted, desc="export", unit="graph", show=progress)
        models: dict[str, VQVAE] = {}
        for name, part, dtype in bar:
            if name not in models:
                models = {name: load_vq(bundle, name, "cpu", torch.float32)}  # one at a time
            file = Path(made) / file_name(name, part, dtype)
            bar.set_postfix_str(file.name)
            if dtype == "int8":
                metadata = Metadata(name, part, "fp32", models[name].config, hashes[name])
                metadata, measured = write_int8(file, metadata, models[name], drawn[name])
            else:
                metadata = Metadata(name, part, dtype, models[name].config, hashes[name])
                write_graph(file, metadata, models[name])
                measured = compare(file, metadata, models[name])
            rows += measured
            problems += judge(metadata, measured)
        if problems:
            listed = "\n  ".join(problems)
            raise ValueError(
                f"{bundle}: what was exported differs too much from PyTorch:\n  {listed}"
            )
        report = Parity(tuple(rows))
        if output.resolve() != bundle.resolve():
            for copied in COPIED:
                if (bundle / copied).is_file():
                    replace_file(output / copied, partial(shutil.copy, bundle / copied))
        for file in sorted(Path(made).iterdir()):
            replace_file(folder / file.name, partial(os.replace, file))
    text = json.dumps({"versions": _versions()} | report.to_dict(), indent=1) + "\n"
    replace_file(folder / REPORT_FILE, lambda file: file.write_text(text, "utf-8"))
    return report


def write_graph(file: Path, metadata: Metadata, model: VQVAE) -> None:
    """Write one graph.

    Args:
        file: the file.
        metadata: says its inputs, its outputs and what it carries of itself.
        model: the tokenizer, fp32, on the CPU.
    """
    make = {"encoder": graphs.Encoder, "decoder": graphs.Decoder}[metadata.part]
    graph = make(model, TORCH_DTYPES[metadata.dtype]).eval()
    example = made_up(metadata.config, metadata.part, EXAMPLE)
    batch = torch.export.Dim("batch", min=1, max=1 << 16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about itself
        program = torch.onnx.export(
            graph,
            example,
            dynamo=True,
            opset_version=OPSET,
            input_names=[value.name for value in metadata.inputs],
            output_names=[value.name for value in metadata.outputs],
            dynamic_shapes=tuple({0: batch} for _ in example),
            verbose=False,
        )
    assert program is not None  # with dynamo=True
    proto = program.model_proto
    _take_empty_batches(proto)
    _save(proto, file, metadata)


def write_int8(
    file: Path, metadata: Metadata, model: VQVAE, drawn: Drawn
) -> tuple[Metadata, list[Row]]:
    """Write a decoder in int8.

    Args:
        file: the file.
        metadata: of the fp32 graph.
        model: the tokenizer, fp32, on the CPU.
        drawn: what to calibrate with, and to measure by.

    Returns:
        What the file says of itself, and how near it is to the fp32 graph.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / metadata.file_name
        write_graph(source, metadata, model)
        quantize(source, file, drawn.calibration)
        row = compare_drawn(file, metadata, source, drawn.held_out)
    measured = FIDELITY[metadata.model]
    metadata = replace(metadata, dtype="int8", **{measured: getattr(row, measured)})
    _save(_import("onnx").load(file), file, metadata)
    return metadata, [row]


def _save(proto: Any, file: Path, metadata: Metadata) -> None:
    onnx = _import("onnx")
    _strip(proto)
    proto.producer_name, proto.producer_version = "mas_fast", __version__
    onnx.helper.set_model_props(proto, metadata.to_properties())
    onnx.save(proto, file)
    onnx.checker.check_model(file, full_check=True)
    read_metadata(file)


def _take_empty_batches(proto: Any) -> None:
    """Say each size of a Reshape in numbers: of a batch of 0, what stands for -1 beside the batch
    could be anything, and onnxruntime refuses it. The exporter writes norms that way."""
    onnx = _import("onnx")
    inferred = onnx.shape_inference.infer_shapes(proto).graph
    shapes = {
        value.name: [size.dim_value if size.HasField("dim_value") else 0 for size in sizes.dim]
        for value in (*inferred.value_info, *inferred.output)
        if (sizes := value.type.tensor_type.shape)
    }
    constants = {
        value.name: onnx.numpy_helper.to_array(value)
        for value in proto.graph.initializer
        if value.data_type == onnx.TensorProto.INT64
    }
    for node in proto.graph.node:
        if node.op_type != "Reshape" or node.input[1] not in constants:
            continue
        wanted, shape = constants[node.input[1]].tolist(), shapes.get(node.output[0], [])
        if 0 not in wanted or -1 not in wanted or len(shape) != len(wanted):
            continue
        sizes = [known if size == -1 else size for size, known in zip(wanted, shape, strict=True)]
        name = f"{node.name}_sizes"
        array = np.array(sizes, np.int64)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
        node.input[1] = name
    used = {name for node in proto.graph.node for name in node.input}
    for value in [value for value in proto.graph.initializer if value.name not in used]:
        proto.graph.initializer.remove(value)  # onnxruntime would warn of it


def _strip(proto: Any) -> None:
    """Take out what the exporter notes for its own debugging: stack traces with paths of this
    machine, at every node."""
    proto.graph.ClearField("doc_string")
    proto.graph.ClearField("metadata_props")
    for listed in ("node", "value_info", "input", "output", "initializer"):
        for item in getattr(proto.graph, listed):
            item.ClearField("doc_string")
            item.ClearField("metadata_props")


def _tokenizers(bundle: Path) -> list[str]:
    """Those to export, all that there are. ValueError where the bundle's GPT needs another."""
    held = models_of(bundle)
    tokenizers = [name for name in MODELS if name in held]
    if "gpt" in held:
        streams = read_config(bundle).streams.names
        missing = [f"vq_{name}" for name in streams[1:] if f"vq_{name}" not in tokenizers]
        if missing:
            streams_of = f"found a GPT of the streams {list(streams)} and of the tokenizers"
            raise ValueError(f"{bundle}: {streams_of} {tokenizers}, expected {missing} too")
    if not tokenizers:
        raise ValueError(f"{bundle}: found the models {list(held)}, expected vq_seg or vq_img")
    for name in tokenizers:
        if not (file := bundle / f"{name}.safetensors").is_file():
            raise ValueError(f"{file}: found no such file, expected the weights of a bundle")
    return tokenizers


def _check_output(bundle: Path, output: Path, hashes: dict[str, str], replaced: list[str]) -> None:
    """ValueError where other weights than these would be mixed with them, or lost."""
    if output.exists() and not output.is_dir():
        raise ValueError(f"{output}: found a file, expected a folder or none")
    for name, expected in hashes.items():
        file = output / f"{name}.safetensors"
        if file.is_file() and sha256(file) != expected:
            raise ValueError(
                f"{file}: found other weights than those of {bundle}, expected the same bundle, "
                "or a folder without"
            )
        for graph in GRAPHS:
            file = output / FOLDER / file_name(*graph)
            if graph[0] == name and file.name not in replaced and file.is_file():
                if read_metadata(file).bundle != expected:
                    raise ValueError(
                        f"{file}: found a graph of other weights than those of {bundle}; "
                        "export it again, too, or remove it"
                    )


def _choices(option: str, values: Sequence[str], allowed: tuple[str, ...]) -> tuple[str, ...]:
    values = (values,) if isinstance(values, str) else tuple(values)
    for value in values:
        check_choice(option, value, allowed)
    if not values:
        raise ValueError(f"{option}: found none, expected some of {list(allowed)}")
    return tuple(value for value in allowed if value in values)


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"an export to ONNX needs {name}: {error}. In a checkout of mas_fast run: "
            'pip install -e ".[export]"'
        ) from error


def _versions() -> dict[str, str]:
    modules = [_import(name) for name in ("torch", *LIBRARIES)]
    versions = {module.__name__: module.__version__ for module in modules}
    return {"mas_fast": __version__, **versions}
