"""static.py: the files of the page, as browsers keep them."""

import httpx
import pytest

from mas_fast.serve.static import PAGE


@pytest.mark.parametrize("path", ["/", "/page/main.js", "/page/theme.css"])
def test_a_browser_asks_whether_a_file_is_still_the_same(server, path):
    file = PAGE / ("index.html" if path == "/" else path.removeprefix("/page/"))
    found = httpx.get(server + path)
    assert found.content == file.read_bytes()
    assert found.headers["cache-control"] == "no-cache"
    same = httpx.get(server + path, headers={"if-none-match": found.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    assert same.headers["cache-control"] == "no-cache"
    other = httpx.get(server + path, headers={"if-none-match": '"of another version"'})
    assert (other.status_code, other.content) == (200, found.content)
    assert httpx.head(server + path).headers["content-length"] == str(len(found.content))


@pytest.mark.parametrize("path", ["/page/", "/page/none.js", "/page/..%2fapp.py", "/page/%00"])
def test_nothing_else_is_a_file(server, path):
    assert httpx.get(server + path).status_code == 404
