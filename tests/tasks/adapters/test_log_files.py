from itertools import count

from tasks.adapters import log_files


def test_results_come_in_order_and_few_are_made_before_they_are_taken():
    begun = []
    found = log_files.each(lambda number: begun.append(number) or -number, count())

    assert [next(found) for _ in range(3)] == [0, -1, -2]
    found.close()
    assert 3 <= len(begun) <= log_files._READERS
