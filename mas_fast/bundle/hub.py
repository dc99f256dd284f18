"""Bundles by name: those of the Hugging Face hub, as `owner/name` or `owner/name@revision`.

    folder = find_bundle("owner/name")       # in huggingface_hub's cache, downloaded where need be
    push_to_hub("my-bundle", "owner/name", license="apache-2.0")

Only files that a bundle has are downloaded (`config.FILES`), none that is larger than what
config.json describes, and nothing of a repository that has pickles. What is in the cache is checked
for links and sizes each time that it is used. HF_ENDPOINT, HF_HUB_CACHE, HF_HUB_OFFLINE and
HF_TOKEN are huggingface_hub's own. No torch.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from mas_fast.bundle.card import card_text
from mas_fast.bundle.check import check_bundle, check_files, check_size
from mas_fast.bundle.config import (
    CARD_FILE,
    CONFIG_FILE,
    FILES,
    QUALITY_FILE,
    bundle_files,
    read_configs,
    shipped,
)

PART = r"[A-Za-z0-9](?:[\w.-]*\w)?"
NAME = re.compile(rf"({PART}/{PART})(?:@(\w[\w./-]*))?", re.ASCII)
PICKLES = (".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth")
SECONDS = 10  # until the hub is taken to be out of reach


def find_bundle(path: str | os.PathLike | None) -> Path:
    """Find a bundle.

    Args:
        path: a folder; or, where there is none of that name, a repository of the hub, as
            `owner/name` or `owner/name@revision`; None: the bundle that comes with mas_fast.

    Returns:
        The folder, of which nothing is read unless it comes from the hub.

    Raises:
        ValueError: if the hub has no such repository or revision, if what it has is no bundle or
            not safe, or if the hub is out of reach and the cache has no copy.
        ImportError: if huggingface_hub is needed and is not installed.
    """
    if path is None:
        return shipped()
    folder = Path(path)
    name = folder.as_posix()
    if os.path.lexists(folder) or not is_name(name):
        return folder
    return _from_hub(name)


def is_name(name: str) -> bool:
    """Tell whether a text may be the name of a repository, with or without a revision."""
    return NAME.fullmatch(name) is not None and "--" not in name and ".." not in name


def title(folder: Path) -> str:
    """Return what a bundle is called: the name of its folder, or that of its repository."""
    above = folder.absolute().parents
    kind, *parts = above[1].name.split("--") if len(above) > 1 else [""]
    if kind == "models" and above[0].name == "snapshots":
        return "/".join(parts)
    return folder.absolute().name


def push_to_hub(path: str | os.PathLike, name: str, *, license: str, private: bool = False) -> str:
    """Put a bundle into a repository of the hub, which is made if need be.

    One commit has its files, and a card, README.md: the bundle's own or a new one, with the
    metadata that the hub knows, and the figures of quality.json where there is one. Files of
    another bundle that were there before are taken out.

    Args:
        path: the bundle.
        name: of the repository, as `owner/name`.
        license: of the weights, as the hub names it, such as apache-2.0.
        private: whether a new repository is seen by its owner alone.

    Returns:
        The address of the commit.

    Raises:
        ValueError: if the bundle is not fit, or the hub does not take it.
        ImportError: if huggingface_hub is not installed.
    """
    if not is_name(name) or "@" in name:
        raise ValueError(f"{name}: found no name of a repository, expected owner/name")
    folder = Path(path)
    check_bundle(folder)
    hub = _library(name)
    card = card_text(folder, name, license)
    extra = [folder / QUALITY_FILE] if (folder / QUALITY_FILE).is_file() else []
    files = {f.relative_to(folder).as_posix(): f for f in [*bundle_files(folder), *extra]}
    with _told(name, "nothing was changed there"):
        api = hub.HfApi()
        api.create_repo(name, private=private, exist_ok=True)
        stale = {*FILES, QUALITY_FILE} & set(api.list_repo_files(name)) - set(files)
        changes = [hub.CommitOperationDelete(file) for file in sorted(stale)]
        changes += [hub.CommitOperationAdd(file, str(place)) for file, place in files.items()]
        changes += [hub.CommitOperationAdd(CARD_FILE, card.encode())]
        message = f"A bundle of mas_fast with {', '.join(read_configs(folder))}"
        return str(api.create_commit(name, changes, commit_message=message).commit_url)


# ---------------------------------------------------------------------- download


def _from_hub(name: str) -> Path:
    hub = _library(name)
    errors, endpoint = hub.errors, hub.constants.ENDPOINT
    repository, _, revision = name.partition("@")
    revision = revision or hub.constants.DEFAULT_REVISION
    try:
        api = hub.HfApi()
        info = api.model_info(repository, revision=revision, files_metadata=True, timeout=SECONDS)
    except errors.RevisionNotFoundError as error:
        expected = "expected a branch, a tag or a commit of it"
        raise ValueError(
            f"{name}: found no revision {revision} at {endpoint}, {expected}"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ValueError(
            f"{name}: found no such folder, and no such repository at {endpoint}, expected the "
            "path of a bundle or owner/name; for a private one, log in: hf auth login"
        ) from error
    except Exception as error:  # of the HTTP client, which is another one from version to version
        return _cached(hub, name, repository, revision, error)
    sizes = {file.rfilename: file.size for file in info.siblings or ()}
    _check_listing(name, sizes)
    wanted = [file for file in FILES if file in sizes]
    if kept := _kept(hub, repository, revision, info.sha, wanted):
        return _checked(kept)
    with _told(name, "what has arrived is kept: the same command goes on"):
        config = hub.hf_hub_download(repository, CONFIG_FILE, revision=info.sha)
    configs = read_configs(Path(config).parent)
    for file in wanted:
        check_size(f"{name}: {file}", file, sizes[file] or 0, configs)
    with _told(name, "what has arrived is kept: the same command goes on"):
        return _checked(_download(hub, repository, revision, wanted))


def _kept(
    hub: ModuleType, repository: str, revision: str, commit: str, wanted: list[str]
) -> Path | None:
    """The folder of a commit in the cache, where it has all that is wanted."""
    try:
        folder = _download(hub, repository, revision, wanted, local_files_only=True)
    except hub.errors.LocalEntryNotFoundError:
        return None
    whole = folder.name == commit and all((folder / file).is_file() for file in wanted)
    return folder if whole else None


def _check_listing(name: str, sizes: dict[str, int | None]) -> None:
    """What a repository has, before anything of it is downloaded."""
    if pickles := sorted(file for file in sizes if file.lower().endswith(PICKLES)):
        raise ValueError(
            f"{name}: found {pickles[:3]}, which may be pickles, and a pickle may be a program, "
            "expected a bundle, which has none; download them yourself for `mas-fast import`, "
            "which reads them as data"
        )
    if CONFIG_FILE not in sizes:
        raise ValueError(
            f"{name}: found a repository without {CONFIG_FILE}, expected a bundle, as "
            "`mas-fast push` puts there"
        )
    check_size(f"{name}: {CONFIG_FILE}", CONFIG_FILE, sizes[CONFIG_FILE] or 0, {})


def _cached(hub: ModuleType, name: str, repository: str, revision: str, why: Exception) -> Path:
    """The copy in the cache, for want of the hub."""
    offline = isinstance(why, hub.errors.OfflineModeIsEnabled)
    reason = "HF_HUB_OFFLINE is set" if offline else f"{hub.constants.ENDPOINT}: {_line(why)}"
    try:
        folder = _download(hub, repository, revision, list(FILES), local_files_only=True)
    except hub.errors.LocalEntryNotFoundError as error:
        again = "unset it" if offline else "try again when it can be reached"
        raise ValueError(
            f"{name}: found no such folder, and no whole copy of a repository of that name in "
            f"{hub.constants.HF_HUB_CACHE}, while the hub cannot be asked ({reason}): {again}"
        ) from error
    if not offline:
        warnings.warn(f"{name}: took the copy in the cache ({reason})", stacklevel=4)
    return _checked(folder)


def _download(
    hub: ModuleType, repository: str, revision: str, files: list[str], **options: bool
) -> Path:
    return Path(
        hub.snapshot_download(repository, revision=revision, allow_patterns=files, **options)
    )


def _checked(folder: Path) -> Path:
    """A folder of the cache, models--OWNER--NAME/snapshots/COMMIT, whose files are links to
    models--OWNER--NAME/blobs."""
    check_files(folder, folder.parents[1])
    return folder


# ---------------------------------------------------------------------- the library


def _library(name: str) -> ModuleType:
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
    except ImportError as error:
        raise ImportError(
            f"{name}: found no such folder, and the hub needs more: {error}. Run: "
            'pip install "huggingface_hub>=1.32"'
        ) from error
    return huggingface_hub


@contextmanager
def _told(name: str, state: str) -> Iterator[None]:
    """Whatever the library raises is one line."""
    try:
        yield
    except Exception as error:  # of the HTTP client, which is another one from version to version
        raise ValueError(f"{name}: {_line(error)}; {state}") from error


def _line(error: Exception) -> str:
    """What kind an error is, and what it says, in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
