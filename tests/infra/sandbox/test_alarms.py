import pytest

from infra.sandbox import alarms


def test_metric_math_fills_what_is_missing():
    rate = "100 * (FILL(target, 0) + FILL(balancer, 0)) / requests"

    assert alarms.calculate(rate, {"target": 3.0, "balancer": None, "requests": 30.0}) == 10.0


def test_a_rate_of_no_requests_has_no_value():
    assert alarms.calculate("errors / requests", {"errors": 0.0, "requests": 0.0}) is None


def test_unknown_metric_math_is_refused():
    with pytest.raises(ValueError, match="is not known"):
        alarms.calculate("IF(a, 1, 2)", {"a": 1.0})
