"""A node of ComfyUI that asks a server: copy this file into ComfyUI/custom_nodes/.

mas-fast serve
"""

import base64
import io
import json
import urllib.request

import numpy as np
import torch
from PIL import Image


class MasFast:
    """Caption, and a scene in words, to a picture."""

    CATEGORY, FUNCTION = "image/mas_fast", "draw"
    RETURN_TYPES, RETURN_NAMES = ("IMAGE",), ("picture",)

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 (ComfyUI's name)
        text = ("STRING", {"multiline": True, "default": "a red house beside a lake"})
        return {
            "required": {
                "caption": text,
                "scene": ("STRING", {"default": "", "tooltip": "elephant: 66,48,116,108"}),
                "seed": ("INT", {"default": 0, "min": 0, "max": 2**63 - 1}),
                "address": ("STRING", {"default": "http://127.0.0.1:8000"}),
            }
        }

    def draw(self, caption: str, scene: str, seed: int, address: str):
        """IMAGE: float [1, H, W, 3] in [0, 1]."""
        body = {"prompt": caption, "seed": seed} | ({"scene": scene} if scene else {})
        request = urllib.request.Request(
            f"{address}/v1/images/generations",
            json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            file = base64.b64decode(json.load(answer)["data"][0]["b64_json"])
        pixels = np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))
        return (torch.from_numpy(pixels / np.float32(255))[None],)


NODE_CLASS_MAPPINGS = {"MasFast": MasFast}
NODE_DISPLAY_NAME_MAPPINGS = {"MasFast": "mas_fast: caption and scene to picture"}
