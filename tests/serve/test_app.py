"""app.py: the routes, by HTTP, beside what the same model draws alone."""

import base64
import io
import json
import re
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from PIL import Image

from mas_fast.deploy import Pipeline
from mas_fast.pipelines.png_tokens import Painted
from mas_fast.scene import Scene
from served import serving

CAPTION = "a red house beside a lake at dusk"
PATH = "/v1/images/generations"


@pytest.fixture(scope="module")
def alone() -> Pipeline:
    return Pipeline()


@pytest.fixture(scope="module")
def client(server):
    with httpx.Client(base_url=server, timeout=60) as client:
        yield client


def picture(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


def events(answer) -> list[dict]:
    """The events of a stream; each says its own type."""
    found, kind = [], None
    for line in answer.iter_lines():
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            found.append(json.loads(line.removeprefix("data: ")))
            assert found[-1].get("type", "error") == kind
    return found


def generate(client, **body) -> dict:
    answer = client.post(PATH, json={"prompt": CAPTION} | body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_pictures_and_scenes_are_those_of_the_model_alone(client, alone):
    out = alone.generate(CAPTION, num_images=2, seed=7)
    answer = generate(client, n=2, seed=7)
    assert answer["seed"] == 7
    assert answer["size"] == "128x128"
    assert answer["unknown_words"] == []
    assert len(answer["data"]) == 2
    for n, drawn in enumerate(answer["data"]):
        np.testing.assert_array_equal(picture(drawn["b64_json"]), out.images[n])
        assert Scene.load(base64.b64decode(drawn["scene"])) == out.scenes[n]


def test_settings_reach_the_model(client, alone):
    settings = {"guidance": 2.0, "temperature": 0.8, "top_k": 50, "top_p": 0.9}
    out = alone.generate(CAPTION, seed=3, negative="a tree", **settings)
    answer = generate(client, seed=3, negative_prompt="a tree", **settings)
    np.testing.assert_array_equal(picture(answer["data"][0]["b64_json"]), out.images[0])


@pytest.mark.parametrize(("form", "name"), [("png", "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
def test_formats(client, form, name):
    answer = generate(client, output_format=form, output_compression=80)
    assert answer["output_format"] == form
    assert picture(answer["data"][0]["b64_json"]).format == name


def test_a_stream_ends_in_the_picture(client, alone):
    out = alone.generate(CAPTION, seed=5)
    body = {"prompt": CAPTION, "seed": 5, "stream": True, "partial_images": 3}
    with client.stream("POST", PATH, json=body) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        found = events(answer)
    *partial, last = found
    assert [event["type"] for event in partial] == ["image_generation.partial_image"] * 3
    assert [event["partial_image_index"] for event in partial] == [0, 1, 2]
    shares = [event["share"] for event in found]
    assert shares == sorted(shares)
    assert last["type"] == "image_generation.completed"
    assert last["usage"]["total_tokens"] == 352
    np.testing.assert_array_equal(picture(last["b64_json"]), out.images[0])
    assert Scene.load(base64.b64decode(last["scene"])) == out.scenes[0]


def test_a_scene_in_words_and_as_a_label_map(client, alone):
    given = "elephant: 66,48,116,108"
    out = alone.generate("an elephant on the grass", scene=given, seed=1)
    answer = generate(client, prompt="an elephant on the grass", scene=given, seed=1)
    np.testing.assert_array_equal(picture(answer["data"][0]["b64_json"]), out.images[0])

    labels = out.scenes[0].labels
    file = io.BytesIO()
    Image.fromarray(labels).save(file, "PNG")
    text = base64.b64encode(file.getvalue()).decode()
    answer = generate(client, scene=text, scene_labels="mini158")
    drawn = Scene.load(base64.b64decode(answer["data"][0]["scene"]))
    assert (drawn.labels == labels).mean() > 0.8


def test_edits_keep_what_is_outside(client, alone):
    first = generate(client, seed=7)["data"][0]["b64_json"]
    image = base64.b64decode(first)
    fields = {"prompt": "a red house beside a lake at night", "region": "0,0,128,48", "seed": "2"}
    files = {"image": ("a.png", image, "image/png")}
    answer = client.post("/v1/images/edits", data=fields, files=files)
    assert answer.status_code == 200, answer.text
    drawn = picture(answer.json()["data"][0]["b64_json"])
    out = alone.edit(image, region=(0, 0, 128, 48), caption=fields["prompt"], seed=2)
    np.testing.assert_array_equal(drawn, out.images[0])

    own = client.post("/v1/images/edits", data={"region": fields["region"]}, files=files)
    known = picture(own.json()["data"][0]["b64_json"])
    known.load()
    assert Painted.of(known, "picture").caption == CAPTION, "that of the picture is kept"

    mask = Image.new("RGBA", (128, 128), (0, 0, 0, 255))  # OpenAI's: what is transparent is drawn
    mask.paste((0, 0, 0, 0), (0, 0, 128, 48))
    file = io.BytesIO()
    mask.save(file, "PNG")
    del fields["region"]
    files["mask"] = ("mask.png", file.getvalue(), "image/png")
    again = client.post("/v1/images/edits", data=fields, files=files)
    assert again.status_code == 200, again.text
    assert again.json()["data"] == answer.json()["data"]


def test_what_the_bundle_knows(client):
    assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["storybook"]
    assert client.get("/v1/models/storybook").json()["object"] == "model"
    facts = client.get("/v1/bundle").json()
    assert facts["picture"] == {"side": 128, "grid": 16}
    assert facts["scene"] == {"side": 64, "grid": 8, "labels": "mini158"}
    elephant = next(one for one in facts["classes"] if one["name"] == "elephant")
    assert elephant["learned"]
    assert "elephant" in facts["words"]
    assert client.get("/health").json() == {"status": "ok"}
    text = client.get("/metrics").text
    for name in ("queue", "batch_rows", "picture_seconds", "first_preview_seconds", "tokens"):
        assert f"mas_fast_{name}" in text


def test_the_page_of_the_api_needs_no_network(client, server):
    text = client.get("/docs").text
    links = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert links
    for link in links:
        assert link.startswith(server)
        assert client.get(link).status_code == 200


SCENE = "elephant: 66,48,116,108"
WRONG = [
    (b"{", "the body: found no JSON"),
    (b"[]", "the body: "),
    (b"[" * 100_000 + b"]" * 100_000, "the body: found no JSON"),
    (b'{"prompt": "\xff"}', "the body: found no JSON"),
    (b'{"prompt": "a", "seed": ' + b"9" * 5000 + b"}", "the body: found no JSON"),
    (b'{"prompt": "a", "temperature": NaN}', "temperature: found nan"),
    (b'{"prompt": "\\ud800"}', "prompt: found"),
    ({}, "prompt: "),
    ({"prompt": ""}, "prompt: found ''"),
    ({"prompt": "a" * 10_000}, "prompt: "),
    ({"prompt": 3}, "prompt: found 3"),
    ({"n": 0}, "n: found 0"),
    ({"n": 1000}, "n: found 1000"),
    ({"n": "two"}, "n: found 'two'"),
    ({"n": "2"}, "n: found '2'"),
    ({"seed": True}, "seed: found True"),
    ({"size": "1024x1024"}, "size: found '1024x1024', expected '128x128' or 'auto'"),
    ({"response_format": "url"}, "response_format: found 'url'"),
    ({"background": "transparent"}, "background: found 'transparent'"),
    ({"seed": -1}, "seed: found -1"),
    ({"seed": 2**64}, "seed: "),
    ({"temperature": -1}, "temperature: found -1"),
    ({"top_p": 2}, "top_p: found 2"),
    ({"guidance": []}, "guidance"),
    ({"hue": 3}, "hue: found an unknown field"),
    ({"scene": "dragon: 0,0,9,9"}, "scene: found no class 'dragon'"),
    ({"scene": "cow: 0,0,999,999"}, "scene: cow: found the box 0,0,999,999"),
    ({"scene": "!!"}, "scene: found no Base64"),
    ({"scene": "AAAA"}, "scene: found data that is no image"),
    ({"scene": SCENE, "scene_labels": "mini158"}, "scene_labels: found 'mini158' with words"),
    ({"scene_labels": "mini158"}, "scene_labels: found 'mini158', expected a scene"),
    ({"scene": "/etc/passwd"}, "scene: found no Base64"),
    ({"candidates": 4}, "candidates: found 4"),
    ({"best_of": 2, "stream": True, "partial_images": 2}, "partial_images: found 2"),
]


@pytest.mark.parametrize(("body", "message"), WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_is_said(client, body, message):
    """As OpenAI does, also before a stream; and the server goes on."""
    headers = {"content-type": "application/json"}
    if isinstance(body, dict) and body and "prompt" not in body:
        body = {"prompt": CAPTION} | body
    content = body if isinstance(body, bytes) else json.dumps(body)
    answer = client.post(PATH, content=content, headers=headers)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["message"].startswith(message)
    assert error["type"] == "invalid_request_error"


def test_scenes_of_unknown_labels_and_bombs(client):
    for pixels, message in (
        (np.full((64, 64), 200, np.uint8), "scene"),
        (np.zeros((1, 1), np.uint8), None),
    ):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        text = base64.b64encode(file.getvalue()).decode()
        body = {"prompt": CAPTION, "scene": text, "scene_labels": "mini158"}
        answer = client.post(PATH, json=body)
        if message:
            assert answer.status_code == 400
            assert answer.json()["error"]["message"].startswith(message)
        else:
            assert answer.status_code == 200
    bomb = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(bomb, "PNG")
    text = base64.b64encode(bomb.getvalue()).decode()
    body = {"prompt": CAPTION, "scene": text, "scene_labels": "mini158"}
    answer = client.post(PATH, json=body)
    assert answer.status_code == 400
    assert "decompression bomb" in answer.json()["error"]["message"]


def test_edits_that_are_wrong(client):
    good = {"image": ("a.png", b"not a picture", "image/png")}
    for fields, files, message in (
        ({"prompt": "a"}, None, "the body: found"),
        ({"prompt": "a"}, {"mask": ("m.png", b"", "image/png")}, "image: found none"),
        ({"prompt": "a", "region": "0,0,9,9"}, good, "image: found data that is no image"),
        ({"prompt": "a"}, good, "region: found neither"),
        ({"prompt": "a", "region": "x"}, good, "region: found 'x'"),
        ({"prompt": "a", "region": "--5,0,9,9"}, good, "region: found '--5,0,9,9'"),
        ({"prompt": "a", "hue": "1"}, good, "hue: found an unknown field"),
    ):
        answer = client.post("/v1/images/edits", data=fields, files=files)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["message"].startswith(message)


def test_another_model_and_another_path(client):
    answer = client.post(PATH, json={"prompt": "a", "model": "dall-e-3"})
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"
    assert client.get("/v1/models/dall-e-3").status_code == 404
    assert client.get("/../../etc/passwd").status_code == 404
    assert client.get(PATH).status_code == 405
    for path in ("/health", "/ready", "/v1/models", "/metrics"):
        found = client.head(path)
        assert (found.status_code, found.content) == (200, b"")


def test_large_bodies(client):
    answer = client.post(PATH, content=b" " * (2**23 + 1))
    assert answer.status_code == 413
    answer = client.post(PATH, content=(b" " * 2**20 for _ in range(9)))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "body_too_large"


def test_a_client_that_vanishes_frees_its_rows(client, server):
    host, port = server.removeprefix("http://").split(":")
    body = json.dumps({"prompt": CAPTION, "n": 16, "best_of": 16}).encode()
    head = (
        f"POST /v1/images/generations HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n"
    )
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
        _until(lambda: figure(client, "open_requests") == 1)
    _until(lambda: figure(client, "open_requests") == 0, seconds=5)


def figure(client, name: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(f"mas_fast_{name} ")).split()[1])


def _until(true, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
def test_many_at_once_each_get_their_own(deployed_int8):
    """16 clients, 200 requests each: whole pictures and streams of other captions, seeds and
    settings, and some clients that leave: nothing is lost, nothing is mixed."""
    alone = Pipeline(deployed_int8)
    captions = ("A red house", "two dogs", "a lake at dusk")

    def settings(n: int) -> dict:
        return {"seed": n % 97, "top_k": 1 + n % 5, "guidance": 1.0 + n % 3}

    drawn = {}
    for n in range(16 * 200):
        key = n % 3, *settings(n).values()
        if key not in drawn:
            image = alone.generate(captions[n % 3], **settings(n)).images[0]
            drawn[key] = image.tobytes()

    def ask(client: int) -> int:
        right = 0
        with httpx.Client(base_url=address, timeout=120) as connection:
            for n in range(client * 200, client * 200 + 200):
                body = {"prompt": captions[n % 3], "n": 1, **settings(n)}
                if n % 10 == 3:
                    with connection.stream(
                        "POST", PATH, json=body | {"stream": True, "partial_images": 1}
                    ):
                        continue  # it leaves
                if n % 4 == 1:
                    body |= {"stream": True, "partial_images": 1}
                    with connection.stream("POST", PATH, json=body) as answer:
                        found = events(answer)[-1]["b64_json"]
                else:
                    answer = connection.post(PATH, json=body)
                    assert answer.status_code == 200, answer.text
                    found = answer.json()["data"][0]["b64_json"]
                right += picture(found).tobytes() == drawn[(n % 3, *settings(n).values())]
        return right

    with serving(str(deployed_int8)) as address, ThreadPoolExecutor(16) as threads:
        right = list(threads.map(ask, range(16)))
        with httpx.Client(base_url=address) as client:
            _until(lambda: figure(client, "open_requests") == 0)
    assert right == [180] * 16


def test_a_key(alone):
    with serving("--cors", "https://a.example", MAS_FAST_API_KEY="sesame") as address:
        body = {"prompt": CAPTION}
        for headers, status in (
            ({}, 401),
            ({"authorization": "Bearer wrong"}, 401),
            ({"authorization": "Basic sesame"}, 401),
            ({"authorization": "Bearer sesame"}, 200),
        ):
            url = address + PATH
            answer = httpx.post(url, json=body, headers=headers, timeout=60)
            assert answer.status_code == status
        assert answer.json()["data"]
        assert httpx.get(address + "/health").status_code == 200
        allowed = httpx.get(address + "/health", headers={"origin": "https://a.example"})
        assert allowed.headers["access-control-allow-origin"] == "https://a.example"
        other = httpx.get(address + "/health", headers={"origin": "https://b.example"})
        assert "access-control-allow-origin" not in other.headers


def test_too_many_wait():
    with serving("--waiting", "0") as address:
        statuses: list[int] = []
        retry: list[str] = []

        def ask(n: int) -> None:
            url = address + PATH
            answer = httpx.post(url, json={"prompt": CAPTION, "n": 2, "seed": n}, timeout=120)
            statuses.append(answer.status_code)
            if answer.status_code == 429:
                retry.append(answer.headers["retry-after"])

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(statuses) == {200, 429}
        assert statuses.count(200) >= 16
        assert all(int(seconds) >= 1 for seconds in retry)


def test_a_port_that_is_taken(server):
    port = server.rpartition(":")[2]
    command = [sys.executable, "-m", "mas_fast", "serve", "--port", port]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"mas-fast: 127.0.0.1:{port}: found that it cannot be listened at"
    )
