"""A server for all tests of it."""

from collections.abc import Callable, Iterator

import pytest

for library in ("fastapi", "uvicorn", "sse_starlette", "prometheus_client", "httpx"):
    pytest.importorskip(library)

from browser import Visit, browsing  # noqa: E402
from served import serving  # noqa: E402


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with serving() as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with browsing() as browser:
        yield browser


@pytest.fixture
def visit(browser, server) -> Iterator[Callable[..., Visit]]:
    """visit(fragment, **options): the page, opened."""
    visits: list[Visit] = []

    def open_page(fragment: str = "", **options) -> Visit:
        visits.append(Visit(browser, server, fragment, **options))
        return visits[-1].ready()

    yield open_page
    for made in visits:
        made.close()
