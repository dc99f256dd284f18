"""A picture by the official client of OpenAI's API.

    mas-fast serve
    pip install openai
    python examples/clients/openai_client.py "a red house beside a lake at dusk"

Writes openai_client.png.
"""

import base64
import sys
from pathlib import Path

from openai import OpenAI

caption = sys.argv[1] if len(sys.argv) > 1 else "a red house beside a lake at dusk"
address = sys.argv[2] if len(sys.argv) > 2 else "http://127.0.0.1:8000"

client = OpenAI(base_url=f"{address}/v1", api_key="none")
answer = client.images.generate(prompt=caption, extra_body={"seed": 7})
Path("openai_client.png").write_bytes(base64.b64decode(answer.data[0].b64_json))
print("openai_client.png")
