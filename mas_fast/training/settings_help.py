"""Settings as tables, from the text at each field: for `--help` and docs/settings.md. No torch.

python -m mas_fast.training.settings_help > docs/settings.md
"""

from __future__ import annotations

import typing
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from typing import Any

from mas_fast.training.all_settings import AllSettings
from mas_fast.training.gpt_settings import GPTSettings
from mas_fast.training.settings import Help
from mas_fast.training.vq_settings import ImgSettings, SegSettings

# By the command `mas-fast train NAME`.
KINDS: dict[str, type] = {
    "gpt": GPTSettings,
    "vq-seg": SegSettings,
    "vq-img": ImgSettings,
    "all": AllSettings,
}
COLUMNS = ("setting", "default", "unit", "meaning")
PAGE = """# Settings of training

What the YAML files in `configs/` may hold; on the command line `lr_end: 0.1` is `--lr-end 0.1`,
and `--model.dim 256` reaches into a mapping. `mas-fast train gpt --help` and the like print these
tables, and `python -m mas_fast.training.settings_help` prints this page.
"""


@dataclass(frozen=True)
class Row:
    """One setting.

    Attributes:
        name: its key in a YAML file.
        default: as YAML has it, or "required".
        unit: empty where there is none.
        text: what it means.
    """

    name: str
    default: str
    unit: str
    text: str

    @property
    def option(self) -> str:
        """Its name on the command line."""
        return "--" + self.name.replace("_", "-")


def rows(kind: type) -> list[Row]:
    """The settings of a dataclass, in the order of its fields; required ones first."""
    made = [_row(kind, field) for field in fields(kind)]
    return sorted(made, key=lambda row: row.default != "required")


def markdown() -> str:
    """The page docs/settings.md."""
    parts = [PAGE]
    for name, kind in KINDS.items():
        lines = [f"## `mas-fast train {name}`", "", f"| {' | '.join(COLUMNS)} |", "|---" * 4 + "|"]
        for row in rows(kind):
            lines.append(f"| `{row.name}` | {row.default} | {row.unit} | {row.text} |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _row(kind: type, field: Field) -> Row:
    text = help_of(kind, field.name)
    if text is None:
        raise TypeError(f"{kind.__name__}.{field.name}: found no Help, expected one at the field")
    if field.default_factory is not MISSING:
        default = _yaml(field.default_factory())
    else:
        default = "required" if field.default is MISSING else _yaml(field.default)
    return Row(field.name, default, text.unit, text.text)


def help_of(kind: type, name: str) -> Help | None:
    """The text at a field; of one that only changes a default, that of the class it is from."""
    for base in kind.__mro__:
        if name in vars(base).get("__annotations__", {}):
            hint = typing.get_type_hints(base, include_extras=True)[name]
            for extra in getattr(hint, "__metadata__", ()):
                if isinstance(extra, Help):
                    return extra
    return None


def _yaml(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_yaml, value))}]"
    return str(Path(value)) if isinstance(value, Path) else str(value)


if __name__ == "__main__":
    print(markdown(), end="")
