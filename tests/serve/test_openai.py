"""The official client of OpenAI's API, as its documentation uses it."""

import asyncio
import base64
import io

import numpy as np
import pytest
from PIL import Image

from mas_fast.deploy import Pipeline

openai = pytest.importorskip("openai")
CAPTION = "two dogs on a beach"


def pixels(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


@pytest.fixture(scope="module")
def expected() -> list[np.ndarray]:
    images = Pipeline().generate(CAPTION, num_images=2, seed=4).images
    return [np.asarray(image) for image in images]


@pytest.fixture
def client(server):
    with openai.OpenAI(base_url=f"{server}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_generate(client, expected):
    model = client.models.list().data[0].id
    found = client.images.generate(
        model=model, prompt=CAPTION, n=2, size="auto", response_format="b64_json",
        output_format="png", extra_body={"seed": 4},
    )  # fmt: skip
    for image, one in zip(found.data, expected, strict=True):
        np.testing.assert_array_equal(pixels(image.b64_json), one)
    assert found.usage.total_tokens > found.usage.output_tokens


def test_stream(client, expected):
    stream = client.images.generate(
        prompt=CAPTION, stream=True, partial_images=2, extra_body={"seed": 4}
    )
    *partial, last = stream
    assert [event.type for event in partial] == ["image_generation.partial_image"] * 2
    assert [event.partial_image_index for event in partial] == [0, 1]
    assert last.type == "image_generation.completed"
    np.testing.assert_array_equal(pixels(last.b64_json), expected[0])


def test_edit(client, expected):
    drawn = client.images.generate(prompt=CAPTION, extra_body={"seed": 4}).data[0]
    image = base64.b64decode(drawn.b64_json)
    mask = Image.new("RGBA", (128, 128), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (0, 0, 128, 32))
    file = io.BytesIO()
    mask.save(file, "PNG")
    found = client.images.edit(
        image=("a.png", image, "image/png"), mask=("m.png", file.getvalue(), "image/png"),
        prompt="two dogs on a beach at night", extra_body={"seed": 2},
    )  # fmt: skip
    edited = pixels(found.data[0].b64_json)
    assert edited.shape == expected[0].shape
    assert (edited != expected[0]).any()


def test_several_at_once(server, expected):
    async def ask():
        async with openai.AsyncOpenAI(base_url=f"{server}/v1", api_key="none") as client:
            asked = (
                client.images.generate(prompt=CAPTION, extra_body={"seed": 4}) for _ in range(6)
            )
            return await asyncio.gather(*asked)

    for found in asyncio.run(ask()):
        np.testing.assert_array_equal(pixels(found.data[0].b64_json), expected[0])


def test_errors_are_its_own(client):
    with pytest.raises(openai.BadRequestError, match="found an unknown field") as failure:
        client.images.generate(prompt=CAPTION, extra_body={"hue": 1})
    assert failure.value.code == "unknown_parameter"
    assert failure.value.param == "hue"
    with pytest.raises(openai.NotFoundError, match="expected 'storybook'"):
        client.images.generate(prompt=CAPTION, model="dall-e-3")
    with pytest.raises(openai.BadRequestError, match="size: found '1024x1024'"):
        client.images.generate(prompt=CAPTION, size="1024x1024")
