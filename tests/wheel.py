"""An installed wheel, in an environment without torch: its size, and the first picture.

python tests/wheel.py
"""

import importlib.util
import subprocess
import sys
import tempfile
import time
from importlib.metadata import distribution
from pathlib import Path

MOST_OF_ITS_OWN = 60 * 10**6  # bytes
CAPTION = "a red house beside a lake at dusk"


def main() -> None:
    for name in ("torch", "pybind11"):
        assert importlib.util.find_spec(name) is None, f"found {name}, expected none"
    free = getattr(sys, "_is_gil_enabled", lambda: True)() is False
    import mas_fast
    from mas_fast.deploy import Pipeline
    from mas_fast.utils import native

    assert "site-packages" in mas_fast.__file__, mas_fast.__file__
    assert native.problem("_engine") is None
    assert not (free and sys._is_gil_enabled()), "_engine turned the GIL on"
    files = distribution("mas_fast").files or []
    own = sum(Path(file.locate()).stat().st_size for file in files if ".pyc" not in str(file))
    assert own <= MOST_OF_ITS_OWN, f"found {own / 1e6:.0f} MB, expected at most 60"
    expected = Pipeline(threads=1).generate(CAPTION, seed=7).images[0]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "out.png"
        words = ["generate", CAPTION, "--runtime", "onnx", "--seed", "7", "-o", str(file)]
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "mas_fast", *words], check=True, cwd=folder)
        seconds = time.perf_counter() - start
        from PIL import Image

        assert Image.open(file).tobytes() == expected.tobytes()
    version = ".".join(map(str, sys.version_info[:3]))
    print(f"Python {version}: {own / 1e6:.0f} MB of its own, a picture in {seconds:.2f} s")


if __name__ == "__main__":
    main()
