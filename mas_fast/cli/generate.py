"""`mas-fast generate`: captions become pictures."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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

if TYPE_CHECKING:
    from mas_fast.pipelines.output import Generation
    from mas_fast.scene import Scene

MOST = 10_000  # pictures of one command


def generate(
    captions: Annotated[
        list[str], typer.Argument(metavar="CAPTION", help="In quotes; several make a sheet.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The picture; the suffix says the format.")
    ] = Path("out.png"),
    scene: Annotated[
        str | None,
        typer.Option(
            help="Paint this scene: a PNG that mas-fast saved, as out.scene.png, a COCO panoptic "
            "PNG, or a label map with --scene-labels; or words and boxes (left,top,right,bottom in "
            "pixels of the picture), as `lake: 0,60,128,128; elephant: 30,40,70,100`, where a "
            "colon, and no .png at the end, tells them from a file. What it leaves open is drawn."
        ),
    ] = None,
    scene_labels: Annotated[
        str | None,
        typer.Option(
            help="The label space of a label map that mas-fast did not write: mini158, mas159, "
            "coco-panoptic, coco-stuff, ade20k, cityscapes, voc, camvid, ... (a wrong name lists "
            "all), or a file with a line for each class: its name, a tab, its value."
        ),
    ] = None,
    scene_json: Annotated[
        Path | None,
        typer.Option(
            help="The JSON of a COCO panoptic PNG; by default the one of the same name, else a "
            "panoptic_*.json that lists it."
        ),
    ] = None,
    image: Annotated[
        Path | None,
        typer.Option(
            help="Go on with this picture: what is transparent is drawn, and what is below "
            "--image-rows. A model with scenes does not look at it when it draws the scene, so "
            "give --scene too."
        ),
    ] = None,
    image_rows: Annotated[
        int | None,
        typer.Option(help="How many upper rows of --image are given, in pixels of the output."),
    ] = None,
    model: Model = None,
    num_images: Annotated[int, typer.Option("--num-images", "-n", help="For each caption.")] = 1,
    seed: Annotated[int, typer.Option(help="Another seed, other pictures.")] = 0,
    negative: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CAPTION",
            help="What to stay away from, where guidance is not 1; several: one for each caption.",
        ),
    ] = None,
    guidance: Annotated[
        str | None,
        typer.Option(
            metavar="<float>[:...]",
            help="How closely to follow the caption: 1 not more than learned; 5:2 from 5 at the "
            "first token to 2 at the last. [3.0]",
        ),
    ] = None,
    top_k: TopK = None,
    top_p: TopP = None,
    temperature: Temperature = None,
    seg_guidance: Annotated[
        str | None,
        typer.Option(
            metavar="<float>[:...]",
            help="That of the scene; --guidance is then the picture's. So with the next three.",
        ),
    ] = None,
    seg_top_k: Annotated[int | None, typer.Option(help="--top-k of the scene.")] = None,
    seg_top_p: Annotated[float | None, typer.Option(help="--top-p of the scene.")] = None,
    seg_temperature: Annotated[
        float | None, typer.Option(help="--temperature of the scene.")
    ] = None,
    speculate: Annotated[
        str,
        typer.Option(
            help="How many tokens a pass over the weights draws, guessing those before them: 1 to "
            "32, or auto, as many as are fastest (with eager 1). The tokens are the same at any "
            "width; 1 turns guessing off, to measure what it gains."
        ),
    ] = "auto",
    candidates: Annotated[
        int,
        typer.Option(
            help="With a scene in part, or transparent pixels in --image: draw so many, 1 to 16, "
            "and go on with the one that what is given fits best."
        ),
    ] = 1,
    best_of: Annotated[
        int,
        typer.Option(
            help="Draw so many for each picture, and keep the one whose tokens the caption makes "
            "likelier most."
        ),
    ] = 1,
    runtime: Runtime = "torch",
    engine: EngineName = None,
    dtype: Dtype = "fp32",
    device: Device = None,
    provider: Provider = None,
    onnx_dtype: Annotated[
        str | None,
        typer.Option(help="With onnx: the files that run, fp32, fp16, or int8 decoders. [fp32]"),
    ] = None,
    threads: Threads = 0,
    preview: Annotated[
        bool,
        typer.Option(
            help="Show it in the terminal too while it is drawn, where that has 24-bit colours."
        ),
    ] = True,
) -> None:
    """Paint captions.

    Writes the picture and beside it its scene: `out.scene.png`, which `--scene` takes again, and
    `out.legend.png` to look at. Several captions, or `--num-images`, make a contact sheet `out.png`
    and the pictures `out-1.png`, `out-2.png` and so on. The same words with the same seed give the
    same picture. Defaults in brackets are those of a model that does not say otherwise.

    Examples:

    mas-fast generate "a red house beside a lake at dusk" -o out.png

    mas-fast generate "the same house in winter" --scene out.scene.png -o winter.png

    mas-fast generate "a red house" --negative "a tree" --seg-guidance 2 --guidance 5:2

    mas-fast generate "an elephant by a lake" --scene "lake: 0,60,128,128; elephant: 30,40,70,100"
    """
    from mas_fast.bundle import bundle_files, find_bundle, read_config
    from mas_fast.cli.sampling import by_stream, settings
    from mas_fast.generation.request import check_speculate, request
    from mas_fast.pipelines.drawing import MOST_CANDIDATES
    from mas_fast.pipelines.options import negatives_of
    from mas_fast.pipelines.output import check_output, files_of
    from mas_fast.scene import is_words
    from mas_fast.text.captions import check_captions
    from mas_fast.utils.outputs import check_outputs
    from mas_fast.utils.validate import check_int

    # Whatever can be wrong without torch, which takes a second to import.
    check_captions(captions)
    if any(_one_word(a) and _one_word(b) for a, b in itertools.pairwise(captions)):
        quoted = f'mas-fast generate "{" ".join(captions)}"'
        typer.echo(f"{len(captions)} captions; if that is one, in quotes: {quoted}", err=True)
    check_int("seed", seed, 0, 2**64 - 1)
    check_int("num_images", num_images, 1, MOST // len(captions))
    check_int("candidates", candidates, 1, MOST_CANDIDATES)
    check_int("best_of", best_of, 1, MOST // (len(captions) * num_images))
    check_threads(threads, "--threads")
    negatives_of(negative or None, len(captions))
    both = settings("", guidance, temperature=temperature, top_k=top_k, top_p=top_p)
    seg = settings(
        "seg_", seg_guidance, temperature=seg_temperature, top_k=seg_top_k, top_p=seg_top_p
    )
    drawing = by_stream(both, seg)
    width: Any = int(speculate) if speculate.isdecimal() else speculate
    check_speculate(width)
    if scene is None and scene_labels is not None:
        raise ValueError(f"--scene-labels: found {scene_labels}, expected --scene with it")
    if scene is None and scene_json is not None:
        raise ValueError(f"--scene-json: found {scene_json}, expected --scene with it")
    options = painter_options(
        runtime, dtype, engine=engine, device=device, provider=provider, onnx_dtype=onnx_dtype
    )
    model = find_bundle(model)
    streams = read_config(model).streams
    for name, value in seg.items():
        if "seg" not in streams.names:
            problem = f"found {value}, expected none: the GPT of {model} draws no scenes"
            raise ValueError(f"{_typed(name)}: {problem}")
    request(streams, [0] * streams[0].length, **drawing)
    count = len(captions) * num_images
    check_output(output)
    sheets = [output] if count > 1 else []
    pictures = itertools.chain.from_iterable(files_of(output, n, count) for n in range(count))
    if image_rows is not None and image is None:
        raise ValueError(f"--image-rows: found {image_rows}, expected --image with it")
    if image is not None and not image.is_file():
        raise ValueError(f"--image: found no file {image}, expected a picture")
    file = None if is_words(scene) else scene
    inputs = [file, scene_json, image, *bundle_files(model)]
    check_outputs({"--output": [*sheets, *pictures]}, inputs)
    given = None
    if scene is not None:
        if "seg" not in streams.names:
            raise ValueError(
                f"--scene: found {scene}, expected none: the GPT of {model} has the streams "
                f"{list(streams.names)}, so it draws pictures from captions alone. Leave --scene "
                "out, or take a model with scenes, such as the one that is used without --model"
            )
        given, open_cells = read_given(scene, scene_json, scene_labels, model)
        for name, value in seg.items():
            if open_cells == 0:
                problem = f"found {value} with --scene {scene}, whose scene is not drawn"
                raise ValueError(f"{_typed(name)}: {problem}, expected one of them")

    painter = load_painter(runtime, model, dtype=dtype, threads=threads, **options)
    with watching(preview) as callback:
        painting = painter.paint(
            captions,
            num_images=num_images,
            negative=negative or None,
            scene=given,
            image=image,
            image_rows=image_rows,
            seed=seed,
            speculate=width,
            candidates=candidates,
            best_of=best_of,
            callback=callback,
            progress=callback is None,
            **drawing,
        )
        out = _write(painting, output, count)
    report(out)
    if preview:
        show_result(out)


def read_given(scene: str, json: Path | None, labels: str | None, model: Path) -> tuple[Scene, int]:
    """Read the scene of a command, and print what was read.

    Args:
        scene: a file, or words and boxes.
        json: of a COCO panoptic PNG.
        labels: the label space of a file that does not say its own.
        model: the bundle.

    Returns:
        The scene, and how many of its cells are left to be drawn.

    Raises:
        ValueError: names what was found and what is allowed.
    """
    from mas_fast.bundle import read_vq_config
    from mas_fast.pipelines.given import cells
    from mas_fast.scene import VOID, is_words, read_scene, scene_from_words, square
    from mas_fast.scene.open import Found

    config = read_vq_config(model, "vq_seg")
    if is_words(scene):
        for name, value in (("--scene-json", json), ("--scene-labels", labels)):
            if value is not None:
                raise ValueError(f"{name}: found {value} with words, expected a file as --scene")
        side = read_vq_config(model, "vq_img").resolution
        reading = Found(square(scene_from_words(scene, side, side), config.resolution), "words")
        typer.echo(f"--scene: {reading.describe()}", err=True)
    else:
        reading = read_scene(scene, json, labels=labels, size=config.resolution)
        typer.echo(f"{scene}: {reading.describe()}", err=True)
    side = config.resolution // config.f
    given = int(cells(reading.scene.labels != VOID, (side, side)).sum())
    if given < side * side:
        drawn = side * side - given
        typer.echo(f"{given} of {side * side} cells of it are given, {drawn} are drawn", err=True)
    return reading.scene, side * side - given


def _typed(name: str) -> str:
    """The option of a setting of the scene."""
    return f"--seg-{name.replace('_', '-')}"


def _one_word(caption: str) -> bool:
    return len(caption.split()) == 1


def _write(painting: Iterator[Generation], output: Path, count: int) -> Generation:
    """Write each picture when it is finished, and the contact sheet of those that there are,
    whatever ends it."""
    files, finished = [], 0
    try:
        for out in painting:
            files += out.save_picture(output, finished)
            finished += 1
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{finished} of {count} pictures are finished") from None
    finally:
        if files:
            for file in [*out.save_sheet(output), *files]:
                typer.echo(f"written: {file}")
    return out


def report(out: Generation) -> None:
    """Print which parts of the captions the model does not know, or did not read."""
    for read in out.truncated:
        typer.echo(f"too long, the model read no more than: {read}", err=True)
    if out.unknown_words:
        typer.echo(f"not in the captions it learned from: {', '.join(out.unknown_words)}", err=True)
