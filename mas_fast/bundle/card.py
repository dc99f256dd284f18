"""README.md of a bundle on the hub: what a reader, and the hub, wants to know of it. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mas_fast.bundle.config import CARD_FILE, QUALITY_FILE, bundle_files, read_configs
from mas_fast.utils.documents import read_json, short

LIBRARY, TASK = "mas_fast", "text-to-image"
TEXT = """# {title}

Captions become scenes, and scenes pictures. {parts}

```
mas-fast generate "a red house beside a lake at dusk" --model {name}
```

```python
import mas_fast

model = mas_fast.load("{name}")
model.generate("a red house beside a lake at dusk", seed=7).save("house.png")
```

| file | bytes |
|---|---|
{files}
"""


def card_text(folder: Path, name: str, license: str) -> str:
    """Write the card of a bundle.

    Args:
        folder: the bundle, whose README.md is taken where there is one.
        name: of the repository.
        license: of the weights, as the hub names it.

    Returns:
        The metadata in YAML, then the text.

    Raises:
        ValueError: if README.md or quality.json is not readable.
        ImportError: if huggingface_hub is not installed.
    """
    from huggingface_hub import ModelCard, ModelCardData

    file = folder / CARD_FILE
    try:
        text = file.read_text(encoding="utf-8") if file.is_file() else _text(folder, name)
        bare = not text.startswith("---")
        card = ModelCard(f"---\nlicense: {license}\n---\n{text}" if bare else text)
        data = card.data.to_dict()
    except Exception as error:  # of YAML, and of what it says
        problem = f"found metadata that cannot be read ({short(str(error))})"
        raise ValueError(f"{file}: {problem}, expected those of a model card") from error
    data |= {"license": license, "library_name": LIBRARY}
    if "gpt" in read_configs(folder):
        data["pipeline_tag"] = TASK
    if results := _results(folder / QUALITY_FILE):
        data |= {"model_name": name.partition("/")[2], "eval_results": results}
    card.data = ModelCardData(**data)
    return str(card)


def _text(folder: Path, name: str) -> str:
    """A card for a bundle that has none."""
    configs = read_configs(folder)
    files = (
        f"| `{f.relative_to(folder).as_posix()}` | {f.stat().st_size:,} |"
        for f in bundle_files(folder)
    )
    parts = f"A bundle of mas_fast with {', '.join(configs)}."
    return TEXT.format(title=name.partition("/")[2], name=name, parts=parts, files="\n".join(files))


def _results(file: Path) -> list[Any]:
    """The figures of `mas-fast eval storybook --json`, for the hub's model index."""
    from huggingface_hub import EvalResult

    if not file.is_file():
        return []
    values = read_json(file)
    metrics = values.get("metrics")
    found = []
    for metric, figures in metrics.items() if isinstance(metrics, dict) else [("", None)]:
        value = figures.get("value", "") if isinstance(figures, dict) else ""
        if not (value is None or (isinstance(value, int | float) and not isinstance(value, bool))):
            problem = f"found {short(figures)} for {short(metric)}"
            expected = "expected figures of `mas-fast eval storybook --json`"
            raise ValueError(f"{file}: {problem}, {expected}")
        if value is not None:
            found.append(
                EvalResult(
                    task_type=TASK,
                    dataset_type="storybook",
                    dataset_name=f"storybook, {short(values.get('captions'))} captions",
                    metric_type=metric,
                    metric_value=value,
                )
            )
    return found
