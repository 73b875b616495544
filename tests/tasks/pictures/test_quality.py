import struct

from tasks.pictures.quality import drawn
from tasks.policy.splits import Chosen


def size(picture: bytes) -> tuple[int, int]:
    assert picture.startswith(b"\x89PNG")
    return struct.unpack(">II", picture[16:24])


def rows(classes: int) -> Chosen:
    train = [("word " * (at % 300), f"class {at % classes}") for at in range(600)]
    return {"train": train, "validation": train[:1], "test": train[::5]}


def test_the_picture_grows_with_the_classes_and_is_the_same_every_time():
    few, many = ([f"class {at}" for at in range(count)] for count in (2, 16))

    small, tall = drawn(few, rows(2), 256), drawn(many, rows(16), 256)

    assert size(tall)[1] > 1.5 * size(small)[1]
    assert size(tall)[0] == size(small)[0]
    assert drawn(few, rows(2), 256) == small
