"""`mas-fast edit`: a region of a picture is drawn anew."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mas_fast.cli.generate import read_given, report
from mas_fast.cli.preview import show_result, watching
from mas_fast.cli.runtime import (
    Device,
    Dtype,
    EngineName,
    Model,
    Provider,
    Runtime,
    Threads,
    load_painter,
    painter_options,
)
from mas_fast.cli.sampling import Temperature, TopK, TopP
from mas_fast.utils.cores import check_threads

BOX = re.compile(r"\s*,".join([r"\s*-?\d{1,9}"] * 4) + r"\s*")


def edit(
    picture: Annotated[
        Path, typer.Argument(metavar="PICTURE", help="Of mas-fast generate, or any other.")
    ],
    region: Annotated[
        str,
        typer.Option(
            help="What is drawn anew: left,top,right,bottom in pixels of the picture, or a mask, a "
            "file of the size of the picture or of the scene that is not black there."
        ),
    ],
    caption: Annotated[
        str | None, typer.Option(help="Of the new picture; by default the one in the PNG.")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The picture; the suffix says the format.")
    ] = Path("edited.png"),
    what: Annotated[
        str, typer.Option(help="Draw the region of the `scene`, of the `picture`, or of `both`.")
    ] = "both",
    scene: Annotated[
        str | None,
        typer.Option(
            help="The scene of a picture that has no tokens in it, as --scene of generate; by "
            "default PICTURE.scene.png beside it."
        ),
    ] = None,
    scene_labels: Annotated[
        str | None, typer.Option(help="The label space of --scene, as generate has it.")
    ] = None,
    model: Model = None,
    num_images: Annotated[int, typer.Option("--num-images", "-n", help="Several to choose.")] = 1,
    seed: Annotated[
        int, typer.Option(help="Another one than the picture's, or it becomes what it was.")
    ] = 1,
    negative: Annotated[
        str | None,
        typer.Option(metavar="CAPTION", help="What to stay away from, where guidance is not 1."),
    ] = None,
    guidance: Annotated[
        str | None,
        typer.Option(
            metavar="<float>[:...]", help="How closely to follow the caption, as generate. [3.0]"
        ),
    ] = None,
    top_k: TopK = None,
    top_p: TopP = None,
    temperature: Temperature = None,
    candidates: Annotated[
        int,
        typer.Option(help="Draw so many, 1 to 16, and keep the one that fits best what is kept."),
    ] = 1,
    runtime: Runtime = "torch",
    engine: EngineName = None,
    dtype: Dtype = "fp32",
    device: Device = None,
    provider: Provider = None,
    onnx_dtype: Annotated[
        str | None, typer.Option(help="With onnx: fp32, fp16 or int8, as generate has it. [fp32]")
    ] = None,
    threads: Threads = 0,
    preview: Annotated[
        bool, typer.Option(help="Show it in the terminal too, where that has 24-bit colours.")
    ] = True,
) -> None:
    """Draw a region of a picture anew, and keep all tokens outside of it.

    A PNG of mas-fast has its caption and its tokens in it. Any other picture is encoded, and so is
    its scene. What is drawn is drawn up to the cells that the region touches. Writes the files that
    `mas-fast generate` writes.

    Examples:

    mas-fast edit out.png --region 0,0,128,56 --caption "a red house beside a lake at night"

    mas-fast edit photo.jpg --region mask.png --scene photo.seg.png --caption "two dogs" -o dogs.png
    """
    from mas_fast.bundle import bundle_files, find_bundle, read_config
    from mas_fast.cli.sampling import settings
    from mas_fast.pipelines.drawing import MOST_CANDIDATES
    from mas_fast.pipelines.edit import WHAT
    from mas_fast.pipelines.output import check_output, files_of
    from mas_fast.scene import is_words
    from mas_fast.text.captions import check_captions
    from mas_fast.utils.outputs import check_outputs
    from mas_fast.utils.validate import check_choice, check_int

    # Whatever can be wrong without torch, which takes a second to import.
    for text in (caption, negative):
        if text is not None:
            check_captions([text])
    check_choice("--what", what, WHAT)
    check_int("seed", seed, 0, 2**64 - 1)
    check_int("num_images", num_images, 1)
    check_int("candidates", candidates, 1, MOST_CANDIDATES)
    check_threads(threads, "--threads")
    drawing = settings("", guidance, temperature=temperature, top_k=top_k, top_p=top_p)
    options = painter_options(
        runtime, dtype, engine=engine, device=device, provider=provider, onnx_dtype=onnx_dtype
    )
    model = find_bundle(model)
    read_config(model)
    box = BOX.fullmatch(region)
    where: Any = tuple(map(int, region.split(","))) if box else region
    for name, file in (("picture", picture), ("--region", None if box else Path(region))):
        if file is not None and not file.is_file():
            expected = "expected a picture" if name == "picture" else "expected a mask or a box"
            raise ValueError(f"{name}: found no file {file}, {expected}")
    if scene is None and scene_labels is not None:
        raise ValueError(f"--scene-labels: found {scene_labels}, expected --scene with it")
    check_output(output)
    written = [file for n in range(num_images) for file in files_of(output, n, num_images)]
    files = [None if box else region, None if is_words(scene) else scene]
    inputs = [picture, files_of(picture, 0, 1)[1], *files, *bundle_files(model)]
    check_outputs({"--output": [*([output] if num_images > 1 else []), *written]}, inputs)
    given = None if scene is None else read_given(scene, None, scene_labels, model)[0]

    painter = load_painter(runtime, model, dtype=dtype, threads=threads, **options)
    chosen: Literal["both", "scene", "picture"] = what  # type: ignore[assignment]  # checked above
    with watching(preview) as callback:
        out = painter.edit(
            picture,
            region=where,
            caption=caption,
            what=chosen,
            num_images=num_images,
            negative=negative,
            scene=given,
            seed=seed,
            candidates=candidates,
            callback=callback,
            progress=callback is None,
            **drawing,
        )
    for written_file in out.save(output):
        typer.echo(f"written: {written_file}")
    report(out)
    if preview:
        show_result(out)
