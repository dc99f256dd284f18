"""The clients of examples/clients/, against a server."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

CLIENTS = Path(__file__).resolve().parents[2] / "examples" / "clients"
CAPTION, SCENE = "an elephant on the grass", "elephant: 66,48,116,108"


def load(name: str, monkeypatch):
    monkeypatch.setattr(sys, "argv", [name])
    spec = importlib.util.spec_from_file_location(name, CLIENTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_openai(server, tmp_path):
    pytest.importorskip("openai")
    command = [sys.executable, CLIENTS / "openai_client.py", CAPTION, server]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=120)
    assert Image.open(tmp_path / "openai_client.png").size == (128, 128)


@pytest.mark.skipif(shutil.which("curl") is None, reason="found no curl")
def test_curl(server, tmp_path):
    environment = os.environ | {"ADDRESS": server}
    command = [CLIENTS / "curl.sh", CAPTION, SCENE]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=120)
    assert Image.open(tmp_path / "curl.png").size == (128, 128)
    assert Image.open(tmp_path / "curl.scene.png").size == (64, 64)
    assert len([*tmp_path.iterdir()]) == 2


def test_gradio(server, monkeypatch):
    module = load("gradio_client", monkeypatch)
    monkeypatch.setattr(module, "address", server)
    picture, scene = module.draw(CAPTION, SCENE, 3.0)
    assert (picture.size, scene.size) == ((128, 128), (64, 64))


def test_comfyui(server, monkeypatch):
    """As ComfyUI calls a node: with the inputs that it names."""
    module = load("comfyui_node", monkeypatch)
    node = module.NODE_CLASS_MAPPINGS["MasFast"]
    given = {"caption": CAPTION, "scene": "", "seed": 1, "address": server}
    assert given.keys() == node.INPUT_TYPES()["required"].keys()
    (image,) = getattr(node(), node.FUNCTION)(**given)
    assert image.shape == (1, 128, 128, 3)
    assert 0 <= image.min() < image.max() <= 1


def test_mcp(server, monkeypatch):
    pytest.importorskip("mcp.server.mcpserver")
    monkeypatch.setenv("MAS_FAST_ADDRESS", server)
    module = load("mcp_server", monkeypatch)
    image = module.generate_image(CAPTION, SCENE, 1)
    assert image.data.startswith(b"\x89PNG")
