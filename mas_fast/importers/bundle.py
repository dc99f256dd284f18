"""What another project published, put into a bundle.

    import_bundle("1.3B", "my-bundle")               # minDALL-E's folder, or one of taming
    import_bundle("vqvae", "my-bundle")              # diffusers' of a VQModel

Checkpoints become tokenizers (see vqgan); minDALL-E's stage 2 becomes a GPT of text and img (see
mindalle), which draws as the original does.
"""

from __future__ import annotations

import os
from pathlib import Path

from mas_fast.bundle.config import BPE_FILE, GPT_FILE, SAMPLING_FILE, VQ_NAMES
from mas_fast.bundle.extras import save_bpe, save_sampling
from mas_fast.bundle.torch_io import save_gpt, save_vq
from mas_fast.importers.diffusers import import_vqmodel, is_vqmodel
from mas_fast.importers.mindalle import SAMPLING, gpt_of, import_gpt, is_gpt
from mas_fast.importers.vqgan import import_vq, vq_of
from mas_fast.text.bpe import BPE
from mas_fast.utils.checkpoint import read_checkpoint, state_dict


def import_bundle(
    source: str | os.PathLike,
    bundle: str | os.PathLike,
    config: str | os.PathLike | None = None,
    prefix: str | None = None,
) -> list[str]:
    """Put what another project published into a bundle.

    With an error, nothing is written. Warnings are those of `import_vq` and `import_gpt`.

    Args:
        source: a checkpoint; or minDALL-E's unpacked folder, whose captions' tokenizer and, where
            it is there, stage 2 come along; or taming's folder with configs/ and
            checkpoints/last.ckpt; or diffusers' of a VQModel.
        bundle: the bundle.
        config: as for `import_vq`; None for a folder's own.
        prefix: as for `import_vq`.

    Returns:
        Names of the files in the bundle.

    Raises:
        ValueError: as for `import_vq`, `import_vqmodel` and `import_gpt`.
    """
    source, bpe, vq, gpt = Path(source), None, None, None
    if source.is_dir() and is_vqmodel(source):
        for option, value in (("config", config), ("prefix", prefix)):
            if value is not None:
                problem = f"found {value} with a folder of diffusers"
                raise ValueError(f"{option}: {problem}, expected none: it has its own config.json")
        vq = import_vqmodel(source)
    elif source.is_dir():
        checkpoint = _only(source, ("stage1_last.ckpt", "checkpoints/last.ckpt"))
        config = config or _only(
            source, ("config.yaml", "model.yaml", "configs/*project.yaml", "configs/model.yaml")
        )
        vocabulary = source / "tokenizer" / "bpe-16k-vocab.json"
        if vocabulary.is_file():
            bpe = BPE.load_mindalle(vocabulary, vocabulary.with_name("bpe-16k-merges.txt"))
        vq = import_vq(checkpoint, config, prefix)
        if (second := source / "stage2_last.ckpt").is_file():
            gpt = import_gpt(second, config, bpe.pad_id if bpe else 0)
    else:
        weights = state_dict(source, read_checkpoint(source))
        if is_gpt(weights):
            gpt = gpt_of(source, weights, config)
        else:
            vq = vq_of(source, weights, config, prefix)
    files = []
    if vq is not None:
        name = VQ_NAMES[vq.config.input]
        save_vq(bundle, name, vq)
        files.append(f"{name}.safetensors")
    if bpe is not None:
        save_bpe(bundle, bpe)
        files.append(BPE_FILE)
    if gpt is not None:
        save_gpt(bundle, gpt)
        save_sampling(bundle, SAMPLING)
        files += [GPT_FILE, SAMPLING_FILE]
    return files


def _only(folder: Path, patterns: tuple[str, ...]) -> Path:
    """The file in the folder that fits the first of the patterns that any fits."""
    for pattern in patterns:
        files = sorted(folder.glob(pattern))
        if len(files) > 1:
            raise ValueError(f"{folder}: found {[file.name for file in files]}, expected one file")
        if files:
            return files[0]
    raise ValueError(f"{folder}: found none of {list(patterns)}, expected one of them")
