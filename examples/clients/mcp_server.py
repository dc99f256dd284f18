"""A tool `generate_image` for assistants, by the Model Context Protocol, over a server.

mas-fast serve
pip install "mcp>=2"
python examples/clients/mcp_server.py          # speaks MCP on stdin and stdout
"""

import base64
import json
import os
import urllib.request

from mcp.server.mcpserver import Image, MCPServer

address = os.environ.get("MAS_FAST_ADDRESS", "http://127.0.0.1:8000")
tools = MCPServer("mas_fast")


@tools.tool()
def generate_image(caption: str, scene: str = "", seed: int = 0) -> Image:
    """Draw a picture of a caption. `scene` may say where things are: words and boxes in pixels,
    "lake: 0,60,128,128; elephant: 30,40,70,100"."""
    body = {"prompt": caption, "seed": seed} | ({"scene": scene} if scene else {})
    request = urllib.request.Request(
        f"{address}/v1/images/generations",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        file = base64.b64decode(json.load(answer)["data"][0]["b64_json"])
    return Image(data=file, format="png")


if __name__ == "__main__":
    tools.run()
