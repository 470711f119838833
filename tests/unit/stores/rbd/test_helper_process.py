"""The helper process of an RBD store: what it sends is bounded, each wait has a clock, and it ends with its parent."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil
import pytest

from douane.errors import PlanError, StoreError
from douane.stores import open_store
from douane.stores.rbd import RbdOptions, RbdStore
from douane.stores.rbd.process import Helper, HelperError
from support.processes import SECONDS, stop
from support.waiting import until

CONNECTED = "send({'ok': {'fsid': 'f', 'has_pool': True}})"

Program = Callable[..., RbdOptions]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The options of a store whose helper is another program: a script that has `line()`, `send(value)`, `raw(bytes)`
    and `sock`."""

    def make(*lines: str, connects: bool = True) -> RbdOptions:
        path = tmp_path / "helper"
        body = "\n".join(["line()", CONNECTED, *lines] if connects else lines)
        path.write_text(
            f"#!{sys.executable}\nimport json, os, socket, sys, time\n"
            "sock = socket.socket(fileno=int(sys.argv[-1]))\nreader = sock.makefile('rb')\n"
            "line = lambda: json.loads(reader.readline())\nraw = sock.sendall\n"
            "send = lambda value: raw(json.dumps(value).encode() + b'\\n')\n" + body
        )
        path.chmod(0o700)
        return RbdOptions(pool="images", python=str(path))

    return make


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("raw(b'x' * (2 << 20))", "too long"),
        ("raw(b'no json\\n')", "cannot be read"),
        ("raw(b'[1]\\n')", "cannot be read"),
        ("raw(b'\\xff\\n')", "cannot be read"),
        ("os._exit(0)", "ended"),
        ("raw(b'{\"ok\"'); os._exit(0)", "ended"),
    ],
)
def test_a_helper_that_answers_nonsense_is_ended(program: Program, answer: str, message: str) -> None:
    helper = Helper(program("line()", answer, "time.sleep(100)"))
    with pytest.raises(HelperError, match=message):
        helper.call("flush")
    assert helper.is_broken
    helper.close()
    assert not psutil.pid_exists(helper.pid)


def test_a_helper_cannot_write_beyond_the_memory_for_its_answer(program: Program) -> None:
    helper = Helper(program("line()", "send({'ok': 100})", "raw(b'x' * 100)", "time.sleep(100)"))
    helper.ask_for(0, 10)
    with pytest.raises(HelperError, match="more than was asked for"):
        helper.receive(memoryview(bytearray(10)))
    helper.close()


def test_a_helper_that_does_not_answer_is_given_up(program: Program) -> None:
    helper = Helper(program("time.sleep(100)"))
    helper._seconds = 0.1
    with pytest.raises(HelperError) as caught:
        helper.call("flush")
    assert caught.value.number == errno.ETIMEDOUT
    helper.close()
    assert not psutil.pid_exists(helper.pid)


def test_a_helper_that_takes_nothing_is_given_up(program: Program) -> None:
    helper = Helper(program("time.sleep(100)"))
    helper._seconds = 0.1
    with pytest.raises(HelperError) as caught:
        helper.write(memoryview(bytearray(16 << 20)), 0)
    assert caught.value.number == errno.ETIMEDOUT
    helper.close()


def test_an_error_of_an_earlier_write_ends_the_next(program: Program) -> None:
    failure = f"send({{'errno': {errno.EIO}, 'message': 'the disk', 'command': 'write'}})"
    helper = Helper(program("line()", "reader.read(4)", failure, "time.sleep(100)"))
    helper.write(memoryview(b"1234"), 0)

    def fails() -> bool:
        with pytest.raises(HelperError, match="the disk"):
            helper.call("flush")
        return True

    assert until("the write fails", fails)
    assert helper.is_broken
    helper.close()


@pytest.mark.parametrize("answer", ["send({'alive': True})", "send({'alive': True}); send({'alive': True})"])
def test_signs_of_life_are_no_answers(program: Program, answer: str) -> None:
    helper = Helper(program("line()", answer, "send({'ok': 7})", "line()"))
    assert helper.call("remove", name="x") == 7
    helper.close()


@pytest.mark.parametrize("python", ["/bin/false", "/none", "/bin/true"])
def test_an_interpreter_without_the_bindings_is_named(python: str) -> None:
    store = RbdStore(RbdOptions(pool="images", python=python))
    with pytest.raises(StoreError, match=f"{python}.*python3-rbd") as caught:
        store.exists("00000000-0000-0000-0000-000000000000")
    assert caught.value.code == "store-unwritable"


def test_an_interpreter_that_cannot_import_the_bindings_is_named() -> None:
    store = RbdStore(RbdOptions(pool="images", python=sys.executable))
    with pytest.raises(StoreError, match=r"No module named 'rados'.*python3-rbd"):
        store.exists("00000000-0000-0000-0000-000000000000")


def test_no_more_processes_run_than_the_options_say(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("douane.stores.rbd.pool._WAITING_SECONDS", 0.05)
    script = "while line(): send({'ok': {'size': 0, 'id': 'x', 'watchers': 1}})"
    store = RbdStore(msgspec.structs.replace(program(script), processes=1))
    staged = store.stage("00000000-0000-0000-0000-000000000000")
    with pytest.raises(StoreError, match="1 open image already, as many as 'processes' allows") as caught:
        store.stage("00000000-0000-0000-0000-000000000001")
    assert caught.value.code == "store-busy"
    staged.close()
    assert store.stage("00000000-0000-0000-0000-000000000001").key


def test_the_helper_ends_with_its_parent(program: Program, tmp_path: Path) -> None:
    options = program("reader.read()")
    code = (
        "import sys\nfrom douane.stores.rbd import RbdOptions\nfrom douane.stores.rbd.process import Helper\n"
        "helper = Helper(RbdOptions(pool='images', python=sys.argv[1]))\nprint(helper.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, options.python], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert psutil.pid_exists(pid)
    parent.send_signal(signal.SIGKILL)
    parent.communicate(timeout=SECONDS)
    until("the helper is gone", lambda: not _runs(pid))


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_child_of_a_fork_starts_helpers_of_its_own(program: Program) -> None:
    script = "while line(): send({'ok': {'snap': True}})"
    store = RbdStore(program(script))
    assert store.exists("00000000-0000-0000-0000-000000000000")
    (idle,) = store._helpers._idle
    child = os.fork()
    if child == 0:
        store.exists("00000000-0000-0000-0000-000000000000")
        os._exit(0 if store._helpers._idle[0].pid != idle.pid else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert store.exists("00000000-0000-0000-0000-000000000000")


@pytest.mark.parametrize(
    ("url", "options", "sentence"),
    [
        ("rbd:", {}, "the name of a pool"),
        ("rbd:a/b", {}, "the name of a pool"),
        ("rbd:images", {"chunk_size": 5 << 20}, "a power of two"),
        ("rbd:images", {"chunk_size": 64 << 20}, "a power of two"),
        ("rbd:images", {"timeout": 0.1}, "1s to 1h"),
        ("rbd:images", {"processes": 0}, "1 to 1024"),
        ("rbd:images", {"endpoint": "x"}, "'endpoint' is no setting of a store of the kind 'rbd'"),
        ("file:/tmp/x", {"user": "x"}, "'user' is no setting of a store of the kind 'file'"),
    ],
)
def test_wrong_options_are_refused(url: str, options: dict[str, object], sentence: str) -> None:
    with pytest.raises(PlanError, match=sentence):
        open_store(url, options)


def test_a_store_of_each_spelling_is_the_pool() -> None:
    assert isinstance(open_store("rbd:images", {"user": "glance"}), RbdStore)
    assert isinstance(open_store("rbd://images"), RbdStore)


def test_staged_bytes_that_are_claimed_while_they_are_deleted_stay(program: Program) -> None:
    opened, busy = {"size": 0, "id": "1", "watchers": 0}, {"errno": errno.EBUSY, "message": "it has watchers"}
    answers = {"open": {"ok": opened}, "close": {"ok": None}, "snapshots": {"ok": {}}, "remove": busy}
    store = RbdStore(program(f"while True: send({answers!r}[line()['command']])"))
    assert not store.discard("3f2504e0-4f89-41d3-9a0c-0305e82c3301")


@pytest.mark.parametrize(
    "answer",
    [
        "{'ok': None}",
        "{'ok': {}}",
        "{'ok': {'size': -5, 'id': 'a', 'watchers': 0}}",
        "{'ok': {'size': 5, 'id': 7, 'watchers': 0}}",
        "{'errno': 'x'}",
        "{'errno': None, 'message': 5}",
        "{'errno': 10 ** 30}",
    ],
)
@pytest.mark.parametrize("connects", [True, False])
def test_an_answer_of_another_kind_is_an_error_of_the_store(program: Program, answer: str, connects: bool) -> None:
    store = RbdStore(program("line()", f"send({answer})", "line()", connects=connects))
    with pytest.raises(StoreError) as raised:
        store.open("11111111-2222-4333-8444-555555555555")
    assert raised.value.code in ("store-io", "store-unwritable"), "a code of a store"


def test_names_that_are_none_are_an_error_of_the_store(program: Program) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        list(RbdStore(program("line()", "send({'names': [5]})", "line()")).image_ids())


def test_an_image_whose_helper_is_broken_is_closed_without_asking_it(program: Program) -> None:
    opened = "send({'ok': {'size': 9, 'id': 'a', 'watchers': 0}})"
    image = RbdStore(program("line()", opened, "line()", "raw(b'no json\\n')", "time.sleep(100)")).open(
        "11111111-2222-4333-8444-555555555555"
    )
    helper = image._helper
    assert helper is not None
    with pytest.raises(StoreError):
        image.read_into(memoryview(bytearray(9)), 0)
    stop(helper.pid)
    image.close()
    until("the helper is gone", lambda: not psutil.pid_exists(helper.pid))
