"""A file imports only from layers below its own: parses the imports, runs nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Lowest first. Names inside a package are listed in the order in which they may import each other;
# all other names of one layer are independent. A new file needs a place here.
LAYERS = (
    ("documents",),
    ("yaml_documents", "streams", "files", "locks", "captions", "native", "pickles", "rust")
    + ("masks", "outputs", "progress")
    + ("kernels.launch", "kernels.tiles")
    + ("kernels.attention",)
    + ("scene.labels", "scene.png", "scene.render", "scene.scene", "scene.rules", "scene.layers")
    + ("scene.readers", "scene.label_tables", "scene.semantic", "scene.words", "scene.spaces")
    + ("scene.open", "sheet")
    + ("scene",)
    + ("kernels.decode_attention", "kernels.vq", "kernels.cross_entropy"),
    ("config", "vq_config", "request", "reference", "bpe_files", "torch_files", "generated")
    + ("devices", "unfilled", "cores"),
    ("bpe", "foreign", "reference_attention", "reference_cross_entropy", "reference_label_conv"),
    ("attention", "causal_blocks", "cross_entropy", "label_table", "vq"),
    ("ops",),
    ("quantizer",),
    ("gpt", "vqvae", "losses", "perceptual", "discriminator")
    + ("codec", "codes_file", "onnx_files"),
    ("mindalle", "dalle_pytorch", "bundle", "codes", "onnx_graphs", "onnx_session", "cpp_engine")
    + ("data.shard_folder", "data.shards", "data.jpeg", "data.profiles")
    + ("data.images", "data.boxes", "data.names", "data.samples")
    + ("data.storybook.words", "data.storybook.story", "data.storybook.captions")
    + ("data.storybook.canvas", "data.storybook.sky", "data.storybook.plants")
    + ("data.storybook.pieces", "data.storybook.scenery", "data.storybook.structures")
    + ("data.storybook.places",)
    + ("data.storybook.animals", "data.storybook.people")
    + ("data.storybook.vehicles", "data.storybook.objects", "data.storybook.figures")
    + ("data.storybook.stage", "data.storybook.paint", "data.storybook.source")
    + ("data.storybook",)
    + ("data.rejects", "data.walk", "data.tables", "data.coco", "data.digest", "data.folders")
    + ("data.label_folders", "data.tars", "data.sources", "data.download", "data.regions")
    + ("data.crops",),
    ("parity",),
    ("generation", "painter", "onnx_codec", "importers", "export", "data.segmenters.base")
    + ("data.segmenters", "data.segmenters.schp_network", "data.segmenters.schp")
    + ("data.segmenters.face", "data.segmenters.truth", "data.landmarks")
    + ("data.recipes", "data.statistics", "data.workers", "data.inputs", "data.prepare")
    + ("data.encode", "data.report"),
    ("evaluate", "faithfulness", "model", "deploy"),
    ("reconstruction",),
    ("quality",),
    ("training.settings", "training.records", "training.parallel", "training.distcp")
    + ("training.checkpoints", "training.averages")
    + ("training.order", "training.origin", "training.interrupts", "training.trainer")
    + ("training.vq",)
    + ("training.tokens", "training.sheets", "training.warm", "training.speed", "training.muon")
    + ("training.gpt",)
    + ("training.plan", "training.pipeline", "training.segmenter")
    + ("info", "bench"),
    ("cli.runtime", "cli.data", "cli.train", "cli.eval", "cli.bundle", "cli.generate")
    + ("cli.codes", "cli.ending"),
    ("cli",),
    ("__main__",),
)
PLACE = {name: (layer, i) for layer, names in enumerate(LAYERS) for i, name in enumerate(names)}
LIBRARIES = {"_engine"}  # compiled: they import nothing of ours


def place(module: str) -> tuple[str, tuple[int, int]] | None:
    """The entry of the table that `module`, relative to mas_fast, belongs to, and its place."""
    while module:
        if module in PLACE:
            return module, PLACE[module]
        module = module.rpartition(".")[0]
    return None


def imports(source: str, module: str, is_package: bool = False) -> set[str]:
    """The modules, relative to mas_fast, that a file imports anywhere, by statement or attribute.

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


def violations(source: str, module: str, is_package: bool = False) -> list[str]:
    own = place(module)
    if own is None:
        return [f"mas_fast/{module} has no place in LAYERS"]
    name, (layer, order) = own
    wrong = []
    for target in sorted(imports(source, module, is_package)):
        other = place(target)
        if target in LIBRARIES or target.startswith("__"):  # mas_fast.__version__
            continue
        if other is None:
            wrong.append(f"mas_fast.{module} imports mas_fast.{target}, which has no place")
        elif other[0] != name:
            same_package = "." in name and name.split(".")[0] == other[0].split(".")[0]
            below = other[1][0] < layer
            if not (below or (same_package and other[1] < (layer, order))):
                wrong.append(
                    f"mas_fast.{module} (layer {layer}) imports mas_fast.{other[0]} "
                    f"(layer {other[1][0]})"
                )
    return wrong


def files() -> list[tuple[str, Path]]:
    found = []
    for prefix, folder in (("", ROOT / "mas_fast"), ("kernels.", ROOT / "kernels")):
        for path in sorted(folder.rglob("*.py")):
            module = prefix + ".".join(path.relative_to(folder).with_suffix("").parts)
            found.append((module.removesuffix(".__init__"), path))
    return found


@pytest.mark.parametrize(("module", "path"), files(), ids=lambda value: str(value).split("/")[-1])
def test_imports_point_downwards(module: str, path: Path) -> None:
    if path.name == "__init__.py" and module != "cli":  # lazy: they may import nothing of ours
        own = "" if path.parent == ROOT / "mas_fast" else module
        assert not imports(path.read_text(), own, is_package=True)
    else:
        assert not violations(path.read_text(), module, path.name == "__init__.py")


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("ops", "from mas_fast import gpt"),
        ("ops", "from mas_fast.gpt import GPT"),
        ("ops", "from . import gpt"),
        ("ops", "from .gpt import GPT"),
        ("ops", "def f():\n    import mas_fast.gpt as g"),
        ("ops", "import mas_fast\nmas_fast.gpt.GPT"),
        ("gpt", "from mas_fast import vqvae"),
        ("gpt", "from mas_fast import GPT"),
        ("config", "from mas_fast.reference import sample"),
        ("data.prepare", "from .encode import encode"),
        ("data.segmenters.face", "from ..prepare import prepare"),
        ("kernels.vq", "from mas_fast.ops import sample"),
        ("nowhere", ""),
    ],
)
def test_upward_imports_are_found(module: str, source: str) -> None:
    assert violations(source, module)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("ops", "from mas_fast import native, reference\nimport torch"),
        ("cli", "import mas_fast\nmas_fast.__version__"),
        ("native", "import mas_fast._engine"),
        ("data.encode", "from .prepare import prepare\nfrom mas_fast.scene import Scene"),
        ("data.segmenters.face", "from . import transformers\nfrom ..shards import Shard"),
        ("kernels.vq", "from .launch import grid"),
    ],
)
def test_downward_imports_are_allowed(module: str, source: str) -> None:
    assert not violations(source, module)


@pytest.mark.parametrize(
    "module",
    ["documents", "native", "streams", "captions", "bpe", "config", "vq_config", "request"]
    + ["bundle", "info", "outputs", "progress", "cores"]
    + ["cli", "generated", "onnx_files", "cpp_engine", "codec", "codes_file", "painter"]
    + [
        "onnx_session",
        "onnx_codec",
        "deploy",
        "scene.open",
        "data.shards",
        "data.prepare",
        "data.report",
    ],
)
def test_imports_without_torch(module: str) -> None:
    block = "import sys; sys.modules['torch'] = None; "
    subprocess.run([sys.executable, "-c", f"{block}import mas_fast.{module}"], check=True)
