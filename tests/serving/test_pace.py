import pytest

from serving.pace import Pace


def test_work_takes_as_long_as_work_took():
    pace = Pace(4000)
    assert pace.seconds(1000, 1) == 0

    for _ in range(3):
        pace.saw(1000, 0.05)

    assert pace.seconds(4000, 1) == pytest.approx(0.2)
    assert pace.seconds(4000, 2) == pytest.approx(0.1)


def test_a_slow_model_gets_smaller_batches_down_to_a_floor():
    quick, slow, slowest = Pace(8000), Pace(8000), Pace(8000)
    quick.saw(1000, 0.001)
    slow.saw(1000, 0.02)
    slowest.saw(1000, 10)

    assert [pace.budget(100_000, 1) for pace in (quick, slow, slowest)] == [8000, 5000, 4500]


def test_a_batch_has_what_waits_and_leaves_the_other_processes_their_share():
    pace = Pace(8000)

    alone = [pace.budget(waiting, 1) for waiting in (100, 6_000, 100_000)]
    of_two = [pace.budget(waiting, 2) for waiting in (100, 12_000, 100_000)]

    assert alone == of_two == [4500, 6000, 8000]


def test_the_next_batch_is_given_when_it_is_a_full_one_or_the_process_is_nearly_done():
    pace = Pace(8000)
    unknown = pace.lead_s
    pace.saw(4500, 0.09)

    assert [pace.full(waiting) for waiting in (0, 8999, 9000)] == [False, False, True]
    assert unknown == 0
    assert pace.lead_s == pytest.approx(0.045)
