"""sharing.py: as many rows in a pass as gain by it."""

from collections.abc import Callable

from mas_fast.serve.sharing import Sharing


def taken(sharing: Sharing, seconds: Callable[[int], float], waiting: int, passes: int = 500):
    """How many rows the passes had, where one over so many rows takes so long."""
    found = []
    for _ in range(passes):
        rows = min(sharing.limit(waiting), waiting)
        sharing.passed(rows, rows, seconds(rows))
        found.append(rows)
    return found


def test_rows_that_cost_nothing_are_taken_along():
    found = taken(Sharing(16), lambda rows: 1 + 0.01 * rows, waiting=16)
    assert found[0] == 16
    assert found[100:].count(16) > 0.95 * 400


def test_where_each_row_takes_its_time_one_goes_first():
    found = taken(Sharing(16), lambda rows: 0.01 + rows, waiting=16)
    assert found[100:].count(1) > 0.95 * 400
    assert set(found[100:]) == {1, 2, 4, 8, 16}, "the others are tried now and then"


def test_between_the_two_there_is_a_number_from_which_on_more_gain_nothing():
    found = taken(Sharing(16), lambda rows: max(4, rows), waiting=16)
    assert found[100:].count(4) > 0.95 * 400


def test_what_changes_is_found_out():
    sharing = Sharing(16)
    assert taken(sharing, lambda rows: rows, waiting=16)[-50:].count(1) > 45
    assert taken(sharing, lambda rows: 1, waiting=16, passes=3000)[-50:].count(16) > 45


def test_no_pass_waits_for_rows_that_are_not_there():
    sharing = Sharing(12)
    assert sharing.limits == [1, 2, 4, 8, 12]
    assert set(taken(sharing, lambda rows: 1, waiting=1)) == {1}
    assert set(taken(sharing, lambda rows: 1, waiting=3)) == {1, 2, 3}
    sharing.passed(16, 16, 1.0)  # of a run that has more than the most
