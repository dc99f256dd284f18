"""Tiny models of transformers with random weights, for recordings and live tests."""

from __future__ import annotations

import torch

# Seeds with which each finds segments of several classes, and void.
SEEDS = {"mask2former": 4, "maskformer": 7, "detr": 1, "oneformer": 5}
SIDE = 64
SURE = 4.0  # factor of the class scores


def id2label(name: str, ids: tuple[int, ...], names: tuple[str, ...]) -> dict[int, str]:
    """COCO's classes, of these ids and names, as published models spell them: DETR by COCO's ids
    with placeholders between, OneFormer without "-other" and "-merged"."""
    if name == "detr":
        known = dict(zip(ids, names, strict=True))
        return {i: known.get(i, "N/A" if i < 92 else f"LABEL_{i}") for i in range(201)}
    if name == "oneformer":
        names = tuple(n.replace("-other", "").replace("-merged", "") for n in names)
    return dict(enumerate(names))


def make(name: str, id2label: dict[int, str]):
    """(model, processor): of one of SEEDS, for these classes. Its answers are scaled up, so that
    it is sure of some; the processor makes the shorter side SIDE pixels."""
    import transformers

    torch.manual_seed(SEEDS[name])
    swin = {"embed_dim": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "window_size": 2}
    swin |= {"out_features": ["stage1", "stage2", "stage3", "stage4"]}
    backbone = transformers.SwinConfig(image_size=SIDE, **swin)
    size = {"size": {"shortest_edge": SIDE, "longest_edge": 2 * SIDE}}
    classes = {"num_labels": len(id2label), "id2label": id2label}
    if name == "mask2former":
        config = transformers.Mask2FormerConfig(
            backbone_config=backbone, feature_size=32, mask_feature_size=32, hidden_dim=32,
            encoder_feedforward_dim=16, encoder_layers=1, decoder_layers=2, num_attention_heads=2,
            dim_feedforward=16, num_queries=12, **classes,
        )  # fmt: skip
        model = transformers.Mask2FormerForUniversalSegmentation(config)
        head, processor = "class_predictor.weight", "Mask2FormerImageProcessor"
    elif name == "maskformer":
        decoder = transformers.DetrConfig(
            d_model=16, decoder_ffn_dim=16, decoder_layers=1, decoder_attention_heads=2,
            num_queries=12, encoder_layers=1, encoder_ffn_dim=16, encoder_attention_heads=2,
        )  # fmt: skip
        config = transformers.MaskFormerConfig(
            backbone_config=transformers.MaskFormerSwinConfig(image_size=SIDE, **swin),
            decoder_config=decoder, fpn_feature_size=32, mask_feature_size=32, **classes,
        )  # fmt: skip
        model = transformers.MaskFormerForInstanceSegmentation(config)
        head, processor = "class_predictor.weight", "MaskFormerImageProcessor"
    elif name == "detr":
        config = transformers.DetrConfig(
            use_timm_backbone=False, use_pretrained_backbone=False, backbone=None,
            backbone_config=transformers.ResNetConfig(
                embedding_size=8, hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1],
                out_features=["stage1", "stage2", "stage3", "stage4"],
            ),
            d_model=64, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=16, decoder_ffn_dim=16,
            encoder_attention_heads=8, decoder_attention_heads=8, num_queries=12, **classes,
        )  # fmt: skip
        model = transformers.DetrForSegmentation(config)
        head, processor = "class_labels_classifier.weight", "DetrImageProcessor"
    else:
        config = transformers.OneFormerConfig(
            backbone_config=backbone, conv_dim=32, mask_dim=32, hidden_dim=32,
            encoder_feedforward_dim=16, encoder_layers=1, decoder_layers=2, num_attention_heads=2,
            dim_feedforward=16, num_queries=12, text_encoder_width=32, text_encoder_num_layers=1,
            text_encoder_context_length=77, task_seq_len=77, **classes,
        )  # fmt: skip
        model = transformers.OneFormerForUniversalSegmentation(config)
        head, processor = "class_embed.weight", "OneFormerImageProcessor"
    with torch.no_grad():  # as drawn by transformers they answer "nothing" everywhere
        for part, weight in model.named_parameters():
            if weight.dim() > 1:
                weight.normal_(0, 1.5 * weight[0].numel() ** -0.5)
            if part.endswith(head):
                weight.mul_(SURE)
    processor = getattr(transformers, processor)(**size)
    return model.eval(), processor if name != "oneformer" else _with_words(processor)


def _with_words(processor):
    """OneFormer is told its task in words."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["[PAD]", "the", "task", "is", "panoptic", "[UNK]"]
    vocabulary = {word: n for n, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]"
    )
    return transformers.OneFormerProcessor(processor, tokenizer)
