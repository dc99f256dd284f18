"""Every reader of files: how to make whole ones, and how they are read.

    READERS["arrow"].make(folder)        # seeds, to be changed
    READERS["arrow"].read(folder)        # ValueError, OSError, ImportError, MemoryError or nothing

`files` are the patterns of what is changed; `mend`, if there is one, puts right what would hide the
change from the reader, such as a checksum.
"""

from __future__ import annotations

from data_readers import (
    believe,
    make_arrow,
    make_captions,
    make_coco,
    make_painted,
    make_pngs,
    make_scenes,
    make_table,
    make_tar,
    read_arrow,
    read_captions,
    read_painted,
    read_pngs,
    read_scenes,
    read_source,
    resume_scenes,
)
from model_readers import (
    forget,
    make_bundle,
    make_checkpoints,
    make_npz,
    make_onnx,
    make_tokenizer,
    make_torch,
    make_vqmodel,
    make_yaml,
    read_bundle,
    read_checkpoints,
    read_npz,
    read_onnx,
    read_tokenizer,
    read_torch,
    read_vqmodel,
    read_yaml,
)
from reader import Reader

READERS = {
    "bundle": Reader(make_bundle, read_bundle),
    "vqmodel": Reader(make_vqmodel, read_vqmodel),
    "tokenizer": Reader(make_tokenizer, read_tokenizer),
    "arrow": Reader(make_arrow, read_arrow),
    "arrow_layout": Reader(make_arrow, read_arrow, ("*.arrow",), believe),
    "scenes": Reader(make_scenes, read_scenes, ("scenes/*",)),
    "resume": Reader(make_scenes, resume_scenes, ("scenes/*.json",)),
    "tar": Reader(make_tar, read_source),
    "csv": Reader(make_table("csv"), read_source),
    "jsonl": Reader(make_table("jsonl"), read_source),
    "parquet": Reader(make_table("parquet"), read_source, ("*.parquet",)),
    "coco": Reader(make_coco, read_source, ("**/*",)),
    "png": Reader(make_pngs, read_pngs),
    "painted": Reader(make_painted, read_painted),
    "captions": Reader(make_captions, read_captions),
    "yaml": Reader(make_yaml, read_yaml),
    "checkpoints": Reader(make_checkpoints, read_checkpoints, ("**/*",)),
    "index": Reader(make_checkpoints, read_checkpoints, ("*/.metadata", "*/*.distcp"), forget),
    "torch": Reader(make_torch, read_torch),
    "npz": Reader(make_npz, read_npz),
    "onnx": Reader(make_onnx, read_onnx),
}
