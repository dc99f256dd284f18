"""Requests and answers of the API: OpenAI's image API, and what is ours.

Names, types and defaults are OpenAI's (platform.openai.com/docs/api-reference/images); of its
settings for which this server has no choice, the values that ask for none are taken. Any other
field is an error.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_PICTURES, MOST_TRIES, LONGEST_PROMPT = 16, 16, 4000
Guidance = float | Annotated[list[float], Field(min_length=1, max_length=1024)]


class Settings(BaseModel):
    """What generations and edits have in common."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    prompt: str = Field(min_length=1, max_length=LONGEST_PROMPT, description="The caption.")
    model: str | None = Field(None, description="The bundle's name, as /v1/models has it.")
    n: int = Field(1, ge=1, le=MOST_PICTURES, description="Pictures.")
    size: str = Field("auto", description='As "128x128", the model\'s own, or "auto".')
    response_format: Literal["b64_json"] = "b64_json"
    output_format: Literal["png", "jpeg", "webp"] = "png"
    output_compression: int = Field(90, ge=0, le=100, description="Of jpeg and webp: the quality.")
    quality: Literal["auto", "standard"] = "auto"
    background: Literal["auto", "opaque"] = "auto"
    moderation: Literal["auto", "low"] = "auto"
    user: str | None = Field(None, max_length=256, description="Is not looked at.")
    stream: bool = Field(False, description="Server-sent events, as the picture appears.")
    partial_images: int = Field(0, ge=0, le=8, description="With stream: previews of a picture.")

    seed: int = Field(0, ge=0, lt=2**64, description="Ours: the same seed, the same picture.")
    negative_prompt: str | None = Field(
        None, min_length=1, max_length=LONGEST_PROMPT, description="Ours: what to stay away from."
    )
    guidance: Guidance | None = Field(None, description="Ours: a number, or a schedule.")
    temperature: float | None = Field(None, description="Ours.")
    top_k: int | None = Field(None, description="Ours.")
    top_p: float | None = Field(None, description="Ours.")
    candidates: int = Field(1, ge=1, le=MOST_TRIES, description="Ours: rows of a scene in part.")
    best_of: int = Field(1, ge=1, le=MOST_TRIES, description="Ours: tries of each picture.")
    scene: str | None = Field(
        None,
        max_length=2**22,
        description="Ours: a PNG in Base64, or words and boxes, as `elephant: 30,40,70,100`. Void "
        "is drawn.",
    )
    scene_labels: str | None = Field(
        None, description="Ours: the label space of a PNG that does not say its own, as `mini158`."
    )


class Generations(Settings):
    """The body of POST /v1/images/generations."""

    model_config = ConfigDict(strict=True)  # "2" and true are no numbers, as in a form they may be


class Edits(Settings):
    """The fields of POST /v1/images/edits, beside its files."""

    prompt: str = Field(
        "", max_length=LONGEST_PROMPT, description="The caption; empty: the picture's own."
    )
    seed: int = Field(1, ge=0, lt=2**64, description="Ours: the same seed, the same picture.")
    region: str | None = Field(
        None, max_length=64, description="Ours: left,top,right,bottom in pixels; or a mask."
    )
    what: Literal["both", "scene", "picture"] = Field("both", description="Ours: what is drawn.")


class Drawn(BaseModel):
    """One picture of an answer."""

    b64_json: str = Field(description="The picture's file in Base64.")
    scene: str | None = Field(None, description="Ours: its scene, a PNG in Base64.")


class Usage(BaseModel):
    """Tokens, as OpenAI counts them."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: dict[str, int]


class Pictures(BaseModel):
    """The answer to a request without `stream`."""

    created: int
    data: list[Drawn]
    background: str = "opaque"
    output_format: str
    quality: str = "auto"
    size: str
    usage: Usage
    seed: int = Field(description="Ours.")
    unknown_words: list[str] = Field(description="Ours: words that the model has not learned.")
    truncated: list[str] = Field(description="Ours: of what is too long, the part that was read.")


class Preview(BaseModel):
    """An event of a stream: what the picture looks like so far, or the picture."""

    type: str
    b64_json: str
    created_at: int
    background: str = "opaque"
    output_format: str
    quality: str = "auto"
    size: str
    partial_image_index: int | None = None
    usage: Usage | None = None
    index: int = Field(description="Ours: which of the n pictures.")
    share: float = Field(description="Ours: of its tokens, those that are drawn.")
    scene: str | None = Field(None, description="Ours: the scene, once it is whole.")
    seed: int = Field(description="Ours.")
    unknown_words: list[str] = Field(description="Ours.")
    truncated: list[str] = Field(description="Ours.")


class Failure(BaseModel):
    """Why a request failed, in OpenAI's form."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class Failed(BaseModel):
    """The body of an answer that is an error."""

    error: Failure
