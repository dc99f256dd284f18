"""A server for all tests of it."""

from collections.abc import Iterator

import pytest

for library in ("fastapi", "uvicorn", "sse_starlette", "prometheus_client", "httpx"):
    pytest.importorskip(library)

from served import serving  # noqa: E402


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with serving() as address:
        yield address
