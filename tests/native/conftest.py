import pytest


@pytest.fixture(scope="module")
def engine():
    from small_engine import make

    return make()
