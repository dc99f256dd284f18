"""The files of the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles

PAGE = Path(__file__).parent / "page"


class PageFiles(StaticFiles):
    """Browsers ask each time whether a file is still the same (ETag), so that the parts of a page
    are never of two versions, nor older than their server."""

    def __init__(self) -> None:
        super().__init__(directory=PAGE)

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response
