from serving.rate import Rate


def test_a_rate_follows_what_happens_within_about_a_second():
    rate = Rate()

    steady = [rate.once_more(now=number / 100) for number in range(500)][-1]

    assert 90 < steady < 110
    assert rate.once_more(now=60.0) < 1.1
