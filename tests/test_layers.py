"""What may import what, and where tests lie: parses the imports, runs nothing."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Lowest first; what stands in one row is independent. A name is that of a package, whose modules
# may import each other as long as that makes no circle, or of a file beside the packages.
LAYERS = (
    ("kernels", "utils", "version"),
    ("ops", "sampling_params", "scene", "streams"),
    ("models", "text"),
    ("bundle",),
    ("data", "generation", "importers", "onnx"),
    ("pipelines",),
    ("deploy", "evaluation"),
    ("info", "serve", "training"),
    ("cli",),
    ("__main__",),
)
FLOOR = {name: floor for floor, names in enumerate(LAYERS) for name in names}
LIBRARIES = {"_engine"}  # compiled: they import nothing of ours
# What every __init__ may import. The others' names are imported on first use, since a deployment
# without torch imports some modules of a package and not others.
LAZY = {"utils.lazy.names_of", "version.__version__"}
# Folders of tests that no package has: of benchmarks/, of csrc/, of what spans packages. And tests
# of the repository itself.
OTHER_FOLDERS = {"benchmarks", "end_to_end", "fuzz", "native"}
OTHER_TESTS = {"test_build", "test_examples", "test_layers", "test_pages", "test_readme"}
OTHER_TESTS |= {"test_repository"}
# Of the server, from outside, and of its page, which is JavaScript.
OTHER_TESTS |= {f"serve/test_{name}" for name in ("clients", "openai", "schema")}
OTHER_TESTS |= {
    f"serve/test_page{aspect}" for aspect in ("", "_files", "_keeps", "_sceneless", "_speed")
}


def files() -> dict[str, Path]:
    """Each module by its name relative to mas_fast; a package is its __init__."""
    found = {}
    for prefix, folder in (("", ROOT / "mas_fast"), ("kernels.", ROOT / "kernels")):
        for path in sorted(folder.rglob("*.py")):
            module = prefix + ".".join(path.relative_to(folder).with_suffix("").parts)
            found[module.removesuffix("__init__").removesuffix(".")] = path
    return found


MODULES = files()


def imports(source: str, module: str, is_package: bool = False) -> set[str]:
    """The names, relative to mas_fast, that a file imports anywhere, by statement or attribute.

    Imports for type checkers alone count too: they say what a file knows about.
    """
    package = f"mas_fast.{module}".split(".")[: None if is_package else -1]
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", None) == "mas_fast":
            found.add(f"mas_fast.{node.attr}")
    return {name.removeprefix("mas_fast.") for name in found if name.startswith("mas_fast.")}


def home(name: str) -> str:
    """The module that a name is imported from."""
    while name not in MODULES:
        name = name.rpartition(".")[0]
    return name


def violations(source: str, module: str, is_package: bool = False) -> list[str]:
    own = module.partition(".")[0]
    if own not in FLOOR:
        return [f"mas_fast/{own} has no place in LAYERS"]
    wrong = []
    for target in sorted(imports(source, module, is_package)):
        other = target.partition(".")[0]
        if other in LIBRARIES or other.startswith("__"):  # mas_fast.__version__
            continue
        if other not in FLOOR:
            wrong.append(f"mas_fast.{module} imports mas_fast.{target}, which has no place")
        elif other == own:
            if module.startswith(f"{home(target)}.") and home(target) != target:
                wrong.append(f"mas_fast.{module} imports mas_fast.{target} by its own package")
        elif FLOOR[other] >= FLOOR[own]:
            wrong.append(
                f"mas_fast.{module} (layer {FLOOR[own]}) imports mas_fast.{target} "
                f"(layer {FLOOR[other]})"
            )
    return wrong


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_downwards(module: str) -> None:
    path = MODULES[module]
    is_package = path.name == "__init__.py"
    if is_package and module != "cli":
        assert imports(path.read_text(), module, is_package) <= LAZY
    else:
        assert not violations(path.read_text(), module, is_package)


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {
        module: {home(name) for name in imports(path.read_text(), module, path.stem == "__init__")}
        for module, path in MODULES.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_every_place_is_taken() -> None:
    assert set(FLOOR) == {module.partition(".")[0] for module in MODULES} - {""}


def has_source(test: str) -> bool:
    """Whether a test, by its path below tests/, lies as a module does and is called test_MODULE,
    test_MODULE_ASPECT or, of what a compiler makes of it ahead of time, test_aot_MODULE. A package
    is called so for its __init__."""
    *folders, name = test.split("/")
    words = name.removeprefix("test_").removeprefix("aot_").split("_")
    begins = ["_".join(words[:end]) for end in range(1, len(words) + 1)]
    modules = {".".join([*folders, begin]) for begin in begins}
    return bool(modules & set(MODULES)) or folders[-1:] == [name.removeprefix("test_")]


TESTS = [path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")]


@pytest.mark.parametrize("test", sorted(path.with_suffix("").as_posix() for path in TESTS))
def test_tests_are_named_after_what_they_test(test: str) -> None:
    assert has_source(test) or test in OTHER_TESTS or test.split("/")[0] in OTHER_FOLDERS


def test_tests_without_a_source_are_found() -> None:
    assert has_source("ops/reference/test_vq")
    assert has_source("ops/test_functional_vq")
    assert has_source("cli/test_cli")
    assert has_source("kernels/test_aot_vq")
    for wrong in ("ops/test_vq", "ops/test_vqs", "test_vq", "vq/test_functional", "cli/test_clis"):
        assert not has_source(wrong)
    assert not any(has_source(test) for test in OTHER_TESTS)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("ops.functional", "from mas_fast import models"),
        ("ops.functional", "from mas_fast.models.gpt import GPT"),
        ("ops.functional", "from .. import models"),
        ("ops.functional", "from ..models.gpt import GPT"),
        ("ops.functional", "def f():\n    import mas_fast.models.gpt as g"),
        ("ops.functional", "import mas_fast\nmas_fast.models.gpt.GPT"),
        ("ops.reference.vq", "from mas_fast.ops import sample"),
        ("models.gpt", "from mas_fast import GPT"),
        ("models.gpt", "from mas_fast.bundle import load_gpt"),
        ("bundle.config", "from mas_fast.bundle import read_weights"),
        ("streams", "from mas_fast.scene import Scene"),
        ("data.prepare", "from mas_fast.generation import generate_tokens"),
        ("kernels.vq", "from mas_fast.ops import sample"),
        ("nowhere", ""),
    ],
)
def test_upward_imports_are_found(module: str, source: str) -> None:
    assert violations(source, module)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("ops.functional", "from mas_fast.utils import native\nimport torch"),
        ("ops.functional", "from mas_fast.ops import reference\nfrom .dispatch import chosen"),
        ("cli", "import mas_fast\nmas_fast.__version__"),
        ("utils.native", "import mas_fast._engine"),
        ("data.tokenize", "from .prepare import prepare\nfrom mas_fast.scene import Scene"),
        ("data.annotators.face", "from . import base\nfrom ..shards import ShardFolder"),
        ("kernels.vq", "from .launch import grid"),
    ],
)
def test_downward_imports_are_allowed(module: str, source: str) -> None:
    assert not violations(source, module)


@pytest.mark.parametrize(
    "module",
    [
        "mas_fast.bundle.config",
        "mas_fast.bundle.extras",
        "mas_fast.bundle.weights",
        "mas_fast.cli",
        "mas_fast.data.prepare",
        "mas_fast.data.report",
        "mas_fast.data.shards",
        "mas_fast.data.sources.open",
        "mas_fast.data.token_file",
        "mas_fast.data.token_shards",
        "mas_fast.deploy",
        "mas_fast.generation.cpp",
        "mas_fast.generation.engine",
        "mas_fast.generation.engines",
        "mas_fast.generation.ids",
        "mas_fast.generation.request",
        "mas_fast.generation.scoring",
        "mas_fast.info",
        "mas_fast.models.codec",
        "mas_fast.models.gpt_config",
        "mas_fast.models.vqvae_config",
        "mas_fast.onnx.codec",
        "mas_fast.onnx.files",
        "mas_fast.onnx.session",
        "mas_fast.pipelines.base",
        "mas_fast.pipelines.onnx_pipeline",
        "mas_fast.pipelines.output",
        "mas_fast.sampling_params",
        "mas_fast.scene.open",
        "mas_fast.streams",
        "mas_fast.text.bpe",
        "mas_fast.text.bpe_files",
        "mas_fast.text.captions",
        "mas_fast.training.settings_help",
        "mas_fast.utils.cores",
        "mas_fast.utils.documents",
        "mas_fast.utils.lazy",
        "mas_fast.utils.native",
        "mas_fast.utils.outputs",
        "mas_fast.utils.progress",
        "mas_fast.utils.validate",
        "mas_fast.version",
    ],
)
def test_imports_without_torch(module: str) -> None:
    block = "import sys; sys.modules['torch'] = None; "
    subprocess.run([sys.executable, "-c", f"{block}import {module}"], check=True)
