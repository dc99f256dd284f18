#!/usr/bin/env python3
"""Run the Dockerfile's steps without a container engine, and try the server that they make.

    scripts/check_dockerfile.py                     # as root, where debootstrap is; some minutes
    scripts/check_dockerfile.py --target ray        # another stage

Every stage becomes a root folder of its own, in which its steps run by chroot. The image that it is
from is Debian as debootstrap lays it, without what Debian's slim images leave out. Then the CMD is
started in the last root, as its USER, with nothing in the environment but ENV; the HEALTHCHECK must
pass, /v1/images/generations must draw a picture, and what lies in the root is counted.

What an engine does beyond that is not tried: layers, namespaces, and networks (the server listens
at this machine's port). Names of hosts, certificates and pip's settings are this machine's.
"""

import argparse
import contextlib
import fnmatch
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MOST = 350 * 10**6  # bytes of an image
CHROOT = shutil.which("chroot") or "chroot"  # PATH is the image's own
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BASE = re.compile(r"debian:(\w+)-slim")
UNWANTED = ("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale")  # slim's rule
HOST = ("etc/resolv.conf", "etc/hosts", "etc/ssl/certs/ca-certificates.crt", "etc/xdg/pip")
FORWARDED = re.compile(r"PIP_|\w+_proxy$|SSL_CERT", re.I)  # how this machine reaches packages


@dataclass
class Stage:
    """A FROM and its steps, as (instruction, rest of the line)."""

    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Image:
    """A root and what a container of it is started with."""

    root: Path
    env: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    workdir: str = "/"
    user: str = "root"
    command: list[str] = field(default_factory=list)
    health: str = ""
    ports: list[str] = field(default_factory=list)

    def process(self, command: list[str], env: dict[str, str] | None = None, **options):
        """Start a command within."""
        words = [CHROOT, f"--userspec={self.user}", str(self.root)]
        words += ["/bin/sh", "-c", 'cd "$0" && exec "$@"', self.workdir, *command]
        return subprocess.Popen(words, env=self.env | (env or {}), **options)


def read(text: str) -> list[Stage]:
    """The stages of a Dockerfile, one instruction a line."""
    stages: list[Stage] = []
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        instruction, rest = line.split(maxsplit=1)
        if instruction == "FROM":
            base, _, name = rest.partition(" AS ")
            stages.append(Stage(base, name))
        else:
            stages[-1].steps.append((instruction, rest))
    return stages


def ignored(patterns: list[str], path: str) -> bool:
    """Whether .dockerignore hides a path. Its patterns are names, here or (**/) at any depth."""
    for pattern in patterns:
        deep, name = pattern.startswith("**/"), pattern.removeprefix("**/")
        parts = path.split("/") if deep else path.split("/")[:1]
        if any(fnmatch.fnmatch(part, name) for part in parts):
            return True
    return False


def copy(words: list[str], image: Image, images: dict[str, Image]) -> None:
    """COPY, of this checkout or of another stage."""
    source, patterns = ROOT, []
    if words[0].startswith("--from="):
        source = images[words.pop(0).removeprefix("--from=")].root
    else:
        lines = (ROOT / ".dockerignore").read_text().splitlines()
        patterns = [line for line in lines if line and not line.startswith("#")]
    *names, to = words
    target = image.root / os.path.normpath(os.path.join(image.workdir, to)).lstrip("/")
    for name in names:
        found = source / name.lstrip("/")

        def hidden(folder: str, entries: list[str]) -> list[str]:
            below = os.path.relpath(folder, source)
            return [entry for entry in entries if ignored(patterns, f"{below}/{entry}")]

        if found.is_dir():
            shutil.copytree(found, target, symlinks=True, ignore=hidden, dirs_exist_ok=True)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy2(found, target)


def lay_base(base: str, root: Path) -> None:
    """What a slim image of Debian holds."""
    suite = BASE.fullmatch(base)
    assert suite, f"FROM {base}: expected a slim image of Debian, or a stage"
    mirror = "http://deb.debian.org/debian"
    subprocess.run(["debootstrap", "--variant=minbase", suite[1], root, mirror], check=True)
    rules = "".join(f"path-exclude /{folder}/*\n" for folder in UNWANTED)
    (root / "etc/dpkg/dpkg.cfg.d/slim").write_text(rules)
    for folder in (*UNWANTED, "var/cache/apt", "var/lib/apt/lists"):
        shutil.rmtree(root / folder, ignore_errors=True)
    for folder in ("var/cache/apt/archives/partial", "var/lib/apt/lists/partial"):
        (root / folder).mkdir(parents=True)


def make(stage: Stage, root: Path, images: dict[str, Image]) -> Image:
    """Run a stage's steps in a root of its own."""
    if stage.base in images:
        old = images[stage.base]
        subprocess.run(["cp", "-a", old.root, root], check=True)
        image = Image(**vars(old) | {"root": root})
    else:
        subprocess.run(["cp", "-a", base_of(stage.base, root.parent), root], check=True)
        image = Image(root)
    for instruction, rest in stage.steps:
        print(f"{stage.name or 'the last stage'}: {instruction} {rest}", flush=True)
        step(instruction, rest, image, images)
    return image


def base_of(base: str, folder: Path) -> Path:
    """The root of an image, laid once."""
    root = folder / re.sub(r"\W", "-", base)
    if not root.exists():
        lay_base(base, root)
    return root


def lend(root: Path) -> None:
    """How this machine reaches packages; again before each step, since packages replace it."""
    for name in HOST:
        if (source := Path("/") / name).exists():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-aL", source, root / Path(name).parent], check=True)


def step(instruction: str, rest: str, image: Image, images: dict[str, Image]) -> None:
    if instruction == "RUN":
        lend(image.root)
        ours = {name: value for name, value in os.environ.items() if FORWARDED.match(name)}
        ours["DEBIAN_FRONTEND"] = "noninteractive"
        code = image.process(["/bin/sh", "-c", rest], ours).wait()
        assert code == 0, f"RUN {rest}: found exit status {code}, expected 0"
    elif instruction == "COPY":
        copy(shlex.split(rest), image, images)
    elif instruction == "ENV":
        image.env = image.env | dict(word.split("=", 1) for word in shlex.split(rest))
    elif instruction == "WORKDIR":
        image.workdir = rest
        (image.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
    elif instruction == "USER":
        image.user = rest
    elif instruction == "EXPOSE":
        image.ports = image.ports + [rest]
    elif instruction == "HEALTHCHECK":
        image.health = rest.partition("CMD ")[2]
    elif instruction == "CMD":
        image.command = json.loads(rest)
    else:
        raise ValueError(f"{instruction}: expected an instruction that this script runs")


def size(root: Path) -> int:
    """Bytes of a root's files, but for those of this machine."""
    ours = {root / name for name in HOST}
    files = (Path(top) / name for top, _, names in os.walk(root) for name in names)
    return sum(file.lstat().st_size for file in files if not ours & {file, *file.parents})


def ask(address: str, body: dict) -> dict:
    data, kind = json.dumps(body).encode(), {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(address, data, kind), timeout=60) as answer:
        return json.load(answer)


def try_server(image: Image) -> None:
    """Start the CMD, and ask it."""
    (port,) = image.ports
    address = f"http://127.0.0.1:{port}"
    begin = time.perf_counter()
    server = image.process(image.command)
    try:
        while image.process(["/bin/sh", "-c", image.health], stderr=subprocess.DEVNULL).wait():
            assert server.poll() is None, "the server has ended"
            assert time.perf_counter() - begin < 60, "HEALTHCHECK: found no 0 in a minute"
        print(f"HEALTHCHECK passes {time.perf_counter() - begin:.1f} s after the start")
        owner = Path(f"/proc/{server.pid}").stat().st_uid
        assert owner != 0, "the server runs as root"
        answer = ask(f"{address}/v1/images/generations", {"prompt": "a boat on a lake", "seed": 7})
        (drawn,) = answer["data"]
        assert drawn["b64_json"].startswith("iVBORw0KGgo"), "found no PNG"
        print(f"a picture of {answer['size']} was drawn by user {owner}")
    finally:
        server.send_signal(signal.SIGTERM)
        print(f"SIGTERM: exit status {server.wait(60)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--target", help="the stage; by default the last")
    parser.add_argument("--folder", type=Path, help="keeps the roots; by default they are removed")
    options = parser.parse_args()
    stages = read((ROOT / "Dockerfile").read_text())
    images: dict[str, Image] = {}
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for number, stage in enumerate(stages):
            if stage.name == "ray" != options.target:
                continue  # nothing of the others is from it
            made = make(stage, folder / f"{number}-{stage.name or 'last'}", images)
            images[stage.name] = made
            if stage.name and stage.name == options.target:
                break
        base = size(base_of(stages[0].base, folder))
        total = size(made.root)
        print(f"{base / 1e6:.0f} MB of Debian + {(total - base) / 1e6:.0f} MB = ", end="")
        print(f"{total / 1e6:.0f} MB", flush=True)
        assert options.target or total <= MOST, f"expected at most {MOST / 1e6:.0f} MB"
        try_server(made)


if __name__ == "__main__":
    main()
