"""A page of Gradio in front of a server.

mas-fast serve
pip install gradio
python examples/clients/gradio_client.py
"""

import base64
import io
import json
import sys
import urllib.request

from PIL import Image

address = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"


def draw(caption: str, scene: str, seed: float) -> tuple[Image.Image, Image.Image]:
    """A picture and its scene."""
    body = {"prompt": caption, "seed": int(seed)} | ({"scene": scene} if scene else {})
    request = urllib.request.Request(
        f"{address}/v1/images/generations",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        drawn = json.load(answer)["data"][0]
    files = (io.BytesIO(base64.b64decode(drawn[name])) for name in ("b64_json", "scene"))
    picture, known = (Image.open(file) for file in files)
    return picture, known


if __name__ == "__main__":
    import gradio

    boxes = gradio.Textbox(label="scene", placeholder="elephant: 66,48,116,108")
    inputs = [gradio.Textbox(label="caption"), boxes, gradio.Number(0, label="seed")]
    gradio.Interface(draw, inputs, [gradio.Image(), gradio.Image()]).launch()
