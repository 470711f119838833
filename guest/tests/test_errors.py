"""Nothing but the three exceptions of the package leaves a reader."""

import lzma
import struct
import zlib

import pytest

from douane_guest.errors import Broken, TooMuch, Unsupported, only_guest_errors


def recurse(depth=0):
    return recurse(depth + 1)


DAMAGES = {
    "struct": lambda: struct.unpack("<I", b"12"),
    "zlib": lambda: zlib.decompress(b"not compressed"),
    "lzma": lambda: lzma.decompress(b"not compressed"),
    "index": [].pop,
    "key": lambda: {}[1],
    "value": lambda: int("x"),
    "unicode": b"\xff".decode,
    "overflow": lambda: 1 << (1 << 70),
    "division": lambda: 1 // 0,
    "recursion": recurse,
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_leaves_a_function_a_method_and_a_generator_as_broken(name):
    class Reader:
        @only_guest_errors
        def read(self):
            return DAMAGES[name]()

        @only_guest_errors
        def pieces(self):
            yield 1
            DAMAGES[name]()

    with pytest.raises(Broken, match="contradicts itself"):
        Reader().read()
    pieces = Reader().pieces()
    assert next(pieces) == 1
    with pytest.raises(Broken, match="contradicts itself"):
        next(pieces)


@pytest.mark.parametrize("error", [Broken("b"), Unsupported("u", "guest-encrypted"), TooMuch("t")])
def test_the_three_exceptions_leave_unchanged(error):
    @only_guest_errors
    def fail():
        raise error

    with pytest.raises(type(error)) as caught:
        fail()
    assert caught.value is error


def test_faults_of_the_program_and_of_the_memory_stay_visible():
    for fault in (MemoryError, TypeError, AttributeError):

        @only_guest_errors
        def fail(fault=fault):
            raise fault

        with pytest.raises(fault):
            fail()


def test_what_the_reader_of_a_generator_raises_is_not_touched():
    @only_guest_errors
    def numbers():
        yield from range(3)

    with pytest.raises(KeyError):
        for _ in numbers():
            raise KeyError
