"""Records what transformers computes: tests/fixtures/transformers.npz and transformers.json.

    python tests/record/record_transformers.py

Tiny models with random weights (see tiny_transformers). For each picture, one at a time: what the
real image processor's post_process_panoptic_segmentation gives. OneFormer's needs torchvision's
resize, which is plain PyTorch: torchvision_ops makes it importable where its compiled operators do
not load; the other models run without torchvision.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import tiny_transformers
import torch
import torchvision_ops
from PIL import Image
from weights import picture

DATA = Path(__file__).resolve().parents[1] / "fixtures"
SIZES = ((60, 80), (80, 60), (60, 80), (24, 90))


def main() -> None:
    how = torchvision_ops.load()
    import transformers

    from mas_fast.scene import COCO_IDS, COCO_NAMES

    arrays, facts = {}, {"transformers": transformers.__version__, "torchvision": how}
    for name in tiny_transformers.SEEDS:
        names = tiny_transformers.id2label(name, COCO_IDS, COCO_NAMES)
        model, processor = tiny_transformers.make(name, names)
        task = {"task_inputs": ["panoptic"]} if name == "oneformer" else {}
        facts[name] = {"id2label": names, "segments_info": []}
        for n, size in enumerate(SIZES):
            image = Image.fromarray(picture(*size, n))
            inputs = processor(images=[image], return_tensors="pt", **task)
            with torch.no_grad():
                outputs = model(**inputs)
            images = getattr(processor, "image_processor", processor)
            (found,) = images.post_process_panoptic_segmentation(outputs, target_sizes=[size])
            arrays[f"{name}_{n}"] = found["segmentation"].numpy().astype(np.int16)
            facts[name]["segments_info"].append(found["segments_info"])
    np.savez_compressed(DATA / "transformers.npz", **arrays)
    (DATA / "transformers.json").write_text(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main()
