"""Records what Detectron2 computes: tests/fixtures/detectron2.npz and detectron2.json.

    python tests/record/record_detectron2.py CHECKOUT

CHECKOUT: a clone of https://github.com/facebookresearch/detectron2 (0.6, installed from it beside
panopticapi). Two models with random weights, their published configs with smaller pictures and
lower thresholds, so that they find something: Panoptic-FPN, whose metadata are "separated" and
whose BGR; Panoptic-DeepLab, "standard" and RGB. For each picture, one at a time through the real
DefaultPredictor: what the model is given (every fourth row and column), its panoptic_seg, and what
the real COCOPanopticEvaluator makes of it, in COCO's own format and category ids. torchvision_ops
says what runs where torchvision's compiled operators do not.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import torch
import torchvision_ops
from PIL import Image
from weights import picture

DATA = Path(__file__).resolve().parents[1] / "fixtures"
SIZES = ((60, 80), (80, 60), (60, 80), (24, 90), (50, 50))
DEEPLAB = "panoptic_deeplab_R_52_os16_mg124_poly_200k_bs64_crop_640_640_coco_dsconv.yaml"


def fpn_config():
    from detectron2 import model_zoo

    cfg = model_zoo.get_config("COCO-PanopticSegmentation/panoptic_fpn_R_50_1x.yaml")
    cfg.MODEL.PANOPTIC_FPN.COMBINE.INSTANCES_CONFIDENCE_THRESH = 0.0
    cfg.MODEL.PANOPTIC_FPN.COMBINE.STUFF_AREA_LIMIT = 100
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = 0.0
    cfg.MODEL.RPN.POST_NMS_TOPK_TEST = 30  # roi_align in Python is slow
    cfg.TEST.DETECTIONS_PER_IMAGE = 6
    return cfg


def deeplab_config(checkout: Path):
    from detectron2.config import get_cfg
    from detectron2.projects.panoptic_deeplab import add_panoptic_deeplab_config

    cfg = get_cfg()
    add_panoptic_deeplab_config(cfg)
    configs = checkout / "projects/Panoptic-DeepLab/configs/COCO-PanopticSegmentation"
    cfg.merge_from_file(str(configs / DEEPLAB))
    cfg.MODEL.PANOPTIC_DEEPLAB.STUFF_AREA = 100
    cfg.MODEL.PANOPTIC_DEEPLAB.CENTER_THRESHOLD = -1e9
    cfg.MODEL.PANOPTIC_DEEPLAB.SIZE_DIVISIBILITY = 160  # and the image pooling is as large
    cfg.INPUT.CROP.SIZE = (160, 160)
    return cfg


def main(checkout: str) -> None:
    how = torchvision_ops.load()
    import detectron2

    arrays, facts = {}, {"detectron2": detectron2.__version__, "torchvision": how}
    for name, cfg in (("fpn", fpn_config()), ("deeplab", deeplab_config(Path(checkout)))):
        facts[name] = record(name, cfg, arrays)
    np.savez_compressed(DATA / "detectron2.npz", **arrays)
    (DATA / "detectron2.json").write_text(json.dumps(facts, indent=1) + "\n")


def record(name: str, cfg, arrays: dict) -> dict:
    from detectron2.data import MetadataCatalog
    from detectron2.engine import DefaultPredictor
    from detectron2.evaluation import COCOPanopticEvaluator

    cfg.MODEL.WEIGHTS, cfg.MODEL.DEVICE = "", "cpu"
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = 96, 160
    torch.manual_seed(1)
    predictor = DefaultPredictor(cfg)
    model = predictor.model
    with torch.no_grad():
        for part, module in model.named_modules():
            if part.endswith("conv3.norm"):  # or activations grow from block to block
                module.weight.mul_(0.2)
            if part.endswith(("bbox_pred", "cls_score")):
                module.weight.normal_(0, 0.05)
    evaluator = COCOPanopticEvaluator(cfg.DATASETS.TEST[0])
    rows = []
    for n, size in enumerate(SIZES):
        image, given = picture(*size, n), []
        hook = model.register_forward_pre_hook(lambda _, args, to=given: to.append(args[0][0]))
        output = predictor(image[:, :, ::-1])  # it takes BGR, whatever the model does
        hook.remove()
        ids, segments = output["panoptic_seg"]
        arrays[f"{name}_{n}_input"] = given[0]["image"][:, ::4, ::4].numpy().astype(np.uint8)
        arrays[f"{name}_{n}_ids"] = ids.numpy().astype(np.int32)
        row = {
            "shape": list(given[0]["image"].shape[1:]),
            "segments_info": segments and list(segments),
        }
        row = json.loads(json.dumps(row))  # the evaluator changes the segments
        evaluator.reset()
        evaluator.process([{"file_name": f"{n}.jpg", "image_id": n}], [output])
        (answer,) = evaluator._predictions
        with Image.open(io.BytesIO(answer["png_string"])) as png:
            arrays[f"{name}_{n}_coco"] = np.array(png)
        row["coco_segments"] = answer["segments_info"]
        rows.append(row)
    metadata = MetadataCatalog.get(cfg.DATASETS.TEST[0])
    return {
        "format": cfg.INPUT.FORMAT,
        "min_size": cfg.INPUT.MIN_SIZE_TEST,
        "max_size": cfg.INPUT.MAX_SIZE_TEST,
        "pixel_mean": model.pixel_mean.flatten().tolist(),
        "pixel_std": model.pixel_std.flatten().tolist(),
        "things": metadata.thing_dataset_id_to_contiguous_id,
        "stuff": metadata.stuff_dataset_id_to_contiguous_id,
        "pictures": rows,
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
