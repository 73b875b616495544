from serving.headers import headers_of


def test_of_a_name_that_comes_twice_the_last_counts():
    found = headers_of({"headers": [(b"x-api-key", b"one"), (b"x-api-key", b"two")]})

    assert found[b"x-api-key"] == b"two"


def test_what_each_proxy_forwarded_is_kept_in_order():
    pairs = [(b"x-forwarded-for", b"1.1.1.1"), (b"a", b"b"), (b"x-forwarded-for", b"2.2.2.2")]

    assert headers_of({"headers": pairs})[b"x-forwarded-for"] == b"1.1.1.1,2.2.2.2"


def test_they_are_looked_through_once():
    scope = {"headers": [(b"a", b"b")]}

    assert headers_of(scope) is headers_of(scope)
