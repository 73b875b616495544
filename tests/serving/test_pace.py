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
    quick, slow, slowest = Pace(4000), Pace(4000), Pace(4000)
    quick.saw(1000, 0.001)
    slow.saw(1000, 0.05)
    slowest.saw(1000, 10)

    assert [pace.budget for pace in (quick, slow, slowest)] == [4000, 2000, 1000]
