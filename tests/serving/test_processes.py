from serving.processes import Restarts


def test_restarts_are_at_once_then_later_and_five_in_a_minute():
    restarts = Restarts()

    delays = [restarts.delay(now=0) for _ in range(6)]

    assert delays[0] == 0
    assert delays[:5] == sorted(delays[:5])
    assert delays[5] == 60


def test_restarts_that_are_long_past_do_not_count():
    restarts = Restarts()
    for _ in range(5):
        restarts.delay(now=0)

    assert restarts.delay(now=100) == 0
