"""The facts about an exception that the engine judges, on every Python."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess

import pytest

from douane_plugin._cause import MAX_CALLS, MAX_TEXT, find_cause, is_bug


def raised(attempt):
    with pytest.raises(BaseException) as caught:
        attempt()
    return caught.value


def is_own(file):
    return file == __file__


def test_an_error_of_a_system_call_has_number_path_and_the_call():
    cause = find_cause([raised(lambda: os.open("/no/such/file", 0))])
    assert (cause["error"], cause["errno"], cause["path"]) == ("FileNotFoundError", errno.ENOENT, "/no/such/file")
    assert "open" in cause["calls"]


def test_functions_of_the_library_are_among_the_calls():
    assert "_execute_child" in find_cause([raised(lambda: subprocess.run(["no-such-program"], check=True))])["calls"]
    refused = raised(lambda: socket.socket(99))
    assert "socket" in find_cause([refused])["calls"]


def test_the_first_of_a_chain_that_a_sandbox_may_cause_counts():
    first, second = raised(lambda: os.open("/a/b", 0)), raised(lambda: os.open("/c/d", 0))
    assert find_cause([ValueError("x"), first, second])["path"] == "/a/b"
    assert find_cause([ValueError("x"), KeyError("y")]) is None
    assert find_cause([]) is None


def test_a_missing_module_has_its_name():
    def attempt():
        import no_such_module.deep  # noqa: F401

    assert find_cause([raised(attempt)])["module"] == "no_such_module"
    relative = raised(lambda: exec("from . import helper", {"__name__": "p", "__package__": None}))
    assert find_cause([relative])["module"] == "."


class ArrayMemoryError(MemoryError):
    """As numpy has one."""


def test_a_shared_library_that_is_not_there_has_its_name():
    import ctypes

    cause = find_cause([raised(lambda: ctypes.CDLL("libnosuch.so.1"))])
    assert (cause["errno"], cause["path"], cause["calls"][0]) == (errno.ENOENT, "libnosuch.so.1", "dlopen")


def test_memory_and_threads():
    for error in (MemoryError(), ArrayMemoryError()):
        cause = find_cause([error])
        assert (cause["error"], cause["errno"]) == ("MemoryError", errno.ENOMEM)
    assert find_cause([RuntimeError("can't start new thread")])["errno"] is None
    assert find_cause([RuntimeError("other")]) is None


def test_the_facts_are_bounded_and_are_json():
    error = OSError(errno.ENOENT, "x", b"\xff" * 5000)
    error.errno = "text"
    cause = find_cause([error])
    assert cause is None or len(json.dumps(cause)) < MAX_TEXT * 8 + MAX_CALLS * 80
    deep = eval("lambda: " + "f(" * 30 + "open('/a/b')" + ")" * 30, {"f": lambda value: value})
    assert len(find_cause([raised(deep)])["calls"]) <= MAX_CALLS


def own_check(value):
    raise TypeError("must be positive")


BUGS = {
    "library": lambda: os.path.join(1),
    "operator": lambda: "a" + 1,
    "call": lambda: own_check(*()),
    "built-in": lambda: len(1),
}


@pytest.mark.parametrize("kind", BUGS)
def test_a_type_error_of_a_wrong_call_is_a_bug(kind):
    assert is_bug(raised(BUGS[kind]), is_own)


def reraised():
    try:
        os.path.join(1)
    except TypeError as error:
        raise TypeError("the path must be text") from error


REFUSALS = {"own": lambda: own_check(1), "from": reraised, "value": lambda: int("x"), "other": lambda: {}["key"]}


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_raise_of_the_author_is_no_bug(kind):
    assert not is_bug(raised(REFUSALS[kind]), is_own)


def test_the_call_of_the_constructor_itself_is_no_bug():
    assert not is_bug(raised(lambda: own_check(*())), lambda file: False)
