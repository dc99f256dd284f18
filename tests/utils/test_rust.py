"""rust.py: a panic is an error as any other."""

import pytest

from mas_fast.utils.rust import no_panics


def test_a_panic_is_a_value_error():
    class PanicException(BaseException):
        pass

    with pytest.raises(ValueError, match="gave up: at 3"), no_panics():
        raise PanicException("at 3")
    with pytest.raises(KeyboardInterrupt), no_panics():
        raise KeyboardInterrupt


def test_other_errors_pass_as_they_are():
    error = KeyError("x")
    with pytest.raises(KeyError) as found, no_panics():
        raise error
    assert found.value is error
