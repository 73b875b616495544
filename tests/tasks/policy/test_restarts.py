import pytest

from tasks.policy.restarts import TIMES, After, after_crash


@pytest.mark.parametrize(
    ("crashes", "kept", "after"),
    [
        (1, False, After.AGAIN),
        (TIMES, False, After.AGAIN),
        (TIMES + 1, False, After.TELL),
        (1, True, After.LEAVE),
        (TIMES + 1, True, After.LEAVE),
    ],
)
def test_a_run_is_tried_twice_more_unless_its_request_is_kept(crashes, kept, after):
    assert after_crash(crashes, kept) is after
