"""Files of torch.save, written by hand."""

import zipfile


def forge(path, code: bytes, records: dict[str, bytes] | None = None) -> None:
    """A zip as torch writes it, around a pickle written by hand."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", code)
        for name, data in (records or {"0": b"\0" * 16}).items():
            archive.writestr(f"archive/data/{name}", data)
