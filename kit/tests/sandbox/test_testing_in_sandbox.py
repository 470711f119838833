"""`douane_plugin.testing` in Douane's sandbox gives the same results as in process."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import trial_plugins

from douane.plugins.checksum import Checksum
from douane_plugin import Inspector
from douane_plugin.testing import (
    Address,
    Cuts,
    NoSandbox,
    PluginFailed,
    Replies,
    WrongConfiguration,
    assert_same_for_all_cuts,
    image_bytes,
    run,
)
from support.services import Service

FACTS = {
    "name": "n",
    "disk_format": "qcow2",
    "container_format": "bare",
    "owner": "o",
    "roles": ["member"],
    "properties": {"a": "b"},
}


def in_both(plugin, image=b"", *, sandbox="strict", **keywords):
    """Return the result in the sandbox, which must be the result in process, log lines included."""
    make = image if callable(image) else lambda: image
    local = run(plugin, make(), raise_on_failure=False, **keywords)
    sandboxed = run(plugin, make(), raise_on_failure=False, sandbox=sandbox, **keywords)
    assert local.differences(sandboxed) == {}
    assert (local.sandbox, sandboxed.sandbox) == (None, sandbox)
    assert local.log == sandboxed.log
    if local.outcome == "accepted":
        assert local.bytes_seen == sandboxed.bytes_seen
    return sandboxed


@pytest.mark.parametrize("sandbox", ["off", "strict", "full"])
def test_facts_and_answers_are_the_same_in_every_tier(sandbox):
    result = in_both(
        trial_plugins.Looks, bytes(20), sandbox=sandbox, declared=FACTS, config={"names": ["x", "y"]}, chunks=Cuts(3, 5)
    )
    assert result.properties == {
        "chunks": "3,2,15",
        "facts": "n 20 qcow2 bare o ('member',)",
        "properties": "{'a': 'b'}",
        "names": "x,y",
    }
    assert result.warnings == (("looked-at", "it was looked at"),)
    assert result.proposed == {"hw_disk_bus": "virtio"}
    assert result.log == ((10, "begins"),)


def test_the_best_tier_is_strict_or_full():
    assert run(trial_plugins.Looks, sandbox="best").sandbox in ("strict", "full")


@pytest.mark.parametrize(
    "answer", ["accept", "refuse", "incomplete", "defer", "fail", "exit", "memory", "properties", "warnings"]
)
def test_every_outcome_is_the_same(answer):
    result = in_both(trial_plugins.Answers, b"1234", config={"answer": answer})
    assert result.outcome == {"accept": "accepted", "refuse": "refused", "incomplete": "incomplete"}.get(
        answer, "deferred" if answer == "defer" else "failed"
    )


@pytest.mark.parametrize("chunks", [1, 7, [1, 2, 3], Cuts(1, 100), "random", lambda offset, rest: offset % 5 + 1])
def test_the_image_is_cut_in_the_same_way(chunks):
    assert in_both(trial_plugins.Looks, bytes(range(200)), chunks=chunks, seed=3).properties["chunks"].count(",")


def test_an_image_from_a_generator_has_no_size_and_keeps_its_pieces():
    result = in_both(trial_plugins.Looks, lambda: (bytes(number) for number in (3, 0, 4)))
    assert result.properties["chunks"] == "3,4"
    assert " None None None " in result.properties["facts"]


def test_holes_stay_holes(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(1 << 40)
        file.write(b"head")
    assert in_both(trial_plugins.Long, path).properties == {"read": 50 << 20, "zeros": 0}


def test_a_kept_chunk_fails_in_both_places():
    result = in_both(trial_plugins.Keeps, b"abcdef", chunks=2)
    assert "BufferError" in result.trace and "trial_plugins.py" in result.trace


@pytest.mark.parametrize("length", [4, 5, 6])
def test_reading_beyond_the_head_fails_in_both_places(length):
    assert in_both(trial_plugins.Head, bytes(length)).outcome == ("failed" if length == 6 else "accepted")


def test_random_access_and_findings_are_the_same():
    assert in_both(trial_plugins.Random, b"12345678", chunks=3).properties == {"size": 8, "end": "5678"}
    assert in_both(trial_plugins.Random, lambda: iter([b"1234", b"5678"])).properties == {"size": 8, "end": "5678"}
    result = in_both(trial_plugins.Findings, b"", findings={"format.table": "gpt"})
    assert result.properties == {"table": "gpt", "more": 1}


@pytest.mark.parametrize("chunks", [None, 1, 100])
@pytest.mark.parametrize("first", [b"a", b"x", b"r"])
def test_transforms_have_the_same_output_for_all_chunk_lengths(first, chunks):
    result = in_both(trial_plugins.Doubles, first + bytes(2999), chunks=chunks, declared=FACTS)
    assert (result.output_size, result.unchanged, result.disk_format) == {
        b"a": (6000, False, "raw"),
        b"x": (None, True, "qcow2"),
        b"r": (None, False, "raw"),
    }[first]


def test_empty_output_and_random_access_of_transforms_are_the_same():
    assert in_both(trial_plugins.Empties, b"abc").output == b""
    assert in_both(trial_plugins.RandomTransform, b"abc").output == b"cba"


def test_max_output_ends_a_transform():
    result = run(trial_plugins.Doubles, bytes(1 << 20), sandbox="strict", plan={"max_output": "1MiB"})
    assert (result.outcome, result.code, result.output) == ("refused", "transform-limit", None)


@pytest.mark.parametrize("kind", ["text", "path", "file"])
def test_grants_are_real_files_and_sockets(kind, tmp_path):
    path = tmp_path / "rules"
    path.write_bytes(b"PING")
    with path.open("rb") as file:
        rules = {"text": "PING", "path": path, "file": file}[kind]
        replies = Replies((b"PING", b"PONG"))
        assert in_both(trial_plugins.Grants, grants={"rules": rules, "daemon": replies}).properties == {
            "answer": "PONG"
        }


@pytest.mark.parametrize("sandbox", ["off", "strict", "full"])
def test_granted_folders_have_the_same_path_in_both_places(sandbox, tmp_path):
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "list").write_text("some names")
    result = in_both(trial_plugins.ByPath, grants={"lists": folder, "rules": "PING"}, sandbox=sandbox)
    assert result.properties == {"same": True, "listed": "some names"}


def test_a_plugin_makes_connections_in_the_sandbox_as_in_process():
    daemon = Replies((b"PING", b"PONG"))
    plan = {"socket_paths": ["daemon"]}
    assert in_both(trial_plugins.Connects, grants={"daemon": daemon}, plan=plan).properties == {"answers": "PONG PONG"}
    with pytest.raises(AssertionError, match="expected b'STAT', not b'PING'"):
        run(trial_plugins.Connects, grants={"daemon": Replies((b"STAT", b""))}, plan=plan, sandbox="strict")


def test_a_real_service_is_granted_in_the_sandbox_as_in_process():
    with Service() as service:
        grants = {"daemon": Address(service.target)}
        plan = {"socket_paths": ["daemon"]}
        assert in_both(trial_plugins.Connects, grants=grants, plan=plan).properties == {"answers": "PING PING"}


def test_an_exception_of_a_server_is_raised():
    with pytest.raises(AssertionError, match="expected b'STAT', not b'PING'"):
        run(trial_plugins.Grants, grants={"rules": "PING", "daemon": Replies((b"STAT", b""))}, sandbox="strict")


@pytest.mark.parametrize(
    ("config", "text"),
    [({"dept": 1}, "is not a setting"), ({"depth": "1"}, "must be int"), ({"depth": 0}, "1 or more")],
)
def test_a_wrong_configuration_stops_the_start_in_both_places(config, text):
    for sandbox in (None, "strict"):
        with pytest.raises(WrongConfiguration, match=text):
            run(trial_plugins.Looks, config=config, sandbox=sandbox)


def test_a_missing_grant_stops_the_start_in_both_places(tmp_path):
    for sandbox in (None, "strict"):
        with pytest.raises(WrongConfiguration, match="cannot be opened"):
            run(trial_plugins.Looks, grants={"rules": tmp_path / "nowhere"}, sandbox=sandbox)


def test_a_failure_is_raised_with_the_lines_of_the_plugin():
    with pytest.raises(PluginFailed, match=r"(?s)trial_plugins\.py.*return 1 // 0.*ZeroDivisionError") as caught:
        run(trial_plugins.Answers, b"1234", config={"answer": "fail"}, sandbox="strict")
    assert caught.value.result.code == "plugin-error"


def test_the_sandbox_denies_opening_files():
    result = run(trial_plugins.Opens, sandbox="strict", raise_on_failure=False)
    assert result.outcome == "failed" and "PermissionError" in result.trace


def test_scratch_files_are_bounded():
    assert in_both(trial_plugins.Scratches, scratch=1 << 20, config={"length": 1000}).properties == {
        "written": 1000,
        "size": 1 << 20,
    }
    result = run(
        trial_plugins.Scratches, scratch=4096, config={"length": 1 << 20}, sandbox="strict", raise_on_failure=False
    )
    assert result.outcome == "failed" or result.properties["written"] <= 4096


def test_further_keys_of_the_plan_take_effect():
    assert run(trial_plugins.Programs, sandbox="strict", plan={"programs": ["echo"]}).properties == {"said": "hello "}
    with pytest.raises(PluginFailed):
        run(trial_plugins.Programs, sandbox="strict")
    with pytest.raises(WrongConfiguration, match="'memry' is not a setting; did you mean 'memory'"):
        run(trial_plugins.Programs, sandbox="strict", plan={"memry": "1GiB"})


def test_a_timeout_is_a_result_with_the_printed_lines():
    result = run(
        trial_plugins.Sleeps, sandbox="strict", plan={"timeout": "1s"}, plugin_name="sleeper", raise_on_failure=False
    )
    assert (result.outcome, result.code) == ("timeout", "plugin-timeout")
    assert "'sleeper'" in result.message and result.log_text == "going to sleep\n"
    with pytest.raises(PluginFailed, match="needed more than 1 s"):
        run(trial_plugins.Sleeps, sandbox="strict", plan={"timeout": "1s"})


def test_a_plugin_is_given_as_text(tmp_path):
    file = trial_plugins.__file__
    assert run(f"{file}:Head", b"1234", sandbox="strict").properties == {"read": 4}
    assert run("format", image_bytes("gpt"), sandbox="strict").properties["partition_table"] == "gpt"


def test_a_class_of_an_installed_package_is_loaded_as_its_module():
    result = in_both(Checksum, b"1234", config={"expected": hashlib.sha256(b"1234").hexdigest()})
    assert result.outcome == "accepted"


def test_a_class_without_a_file_cannot_run_in_the_sandbox():
    class Local(Inspector):
        pass

    with pytest.raises(ValueError, match=r"Local cannot be found there: the class must\s+be at the top level"):
        run(Local, sandbox="strict")


def test_an_exception_of_the_generator_is_raised_and_ends_the_run():
    class Stop(BaseException):
        """As pytest's own outcomes are: no Exception."""

    def image(error):
        yield b"1234"
        raise error

    for error in (OSError("the disk is full"), Stop()):
        with pytest.raises(type(error)):
            run(trial_plugins.Looks, image(error), sandbox="strict")


@pytest.mark.parametrize(("size", "text"), [(9, "ended after 8"), (7, "longer than the declared 7")])
def test_the_declared_size_must_be_true(size, text):
    with pytest.raises(ValueError, match=text):
        run(trial_plugins.Looks, iter([b"12345678"]), declared={"size": size}, sandbox="strict")


def test_cuts_can_be_compared_in_the_sandbox():
    assert assert_same_for_all_cuts(trial_plugins.Head, b"12345", sandbox="strict").properties == {"read": 5}


def test_a_run_leaves_no_descriptor_file_or_thread(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run(trial_plugins.Doubles, b"abc", sandbox="strict")
    count = len(os.listdir("/proc/self/fd"))
    run(trial_plugins.Doubles, b"abc", sandbox="strict", scratch=4096)
    run(trial_plugins.Grants, sandbox="strict", grants={"rules": "PING", "daemon": Replies((b"PING", b"PONG"))})
    assert len(os.listdir("/proc/self/fd")) <= count
    assert list(tmp_path.iterdir()) == []
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("grant ", "douane-"))]


def test_the_sandbox_is_an_option_of_pytest(tmp_path):
    (tmp_path / "mine.py").write_text(Path(trial_plugins.__file__).read_text())
    (tmp_path / "test_mine.py").write_text(
        "from mine import Head\n"
        "def test_head(douane_run, douane_image):\n"
        "    assert douane_run(Head, douane_image(size=5)).sandbox == 'strict'\n"
    )
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--douane-sandbox=strict"]
    ended = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 0, ended.stdout


def test_an_unavailable_tier_says_why(monkeypatch):
    from douane import sandbox

    def none(*_):
        raise sandbox.SandboxUnavailable("this machine has no Landlock")

    monkeypatch.setattr(sandbox, "choose", none)
    with pytest.raises(NoSandbox, match="no Landlock"):
        run(trial_plugins.Head, sandbox="strict")


# the images


@pytest.mark.parametrize(
    ("kind", "declared", "expected"),
    [
        ("mbr", "raw", {"partition_table": "mbr"}),
        ("gpt", "raw", {"partition_table": "gpt"}),
        ("qcow2", "qcow2", {"disk_format": "qcow2", "virtual_size": 1 << 20}),
        ("raw", "raw", {"disk_format": "raw"}),
    ],
)
def test_douane_recognises_the_small_images(kind, declared, expected):
    result = run("format", image_bytes(kind), sandbox="strict", declared={"disk_format": declared})
    assert result.outcome == "accepted"
    assert {key: result.properties[key] for key in expected} == expected


def test_a_qcow2_with_a_backing_file_is_refused():
    assert run("format", image_bytes("qcow2", backing="/etc/hosts"), sandbox="strict").outcome == "refused"


def test_a_gzip_unpacks_to_its_disk():
    result = run("decompress", image_bytes("gzip", 3 << 20, data=b"disk"), sandbox="strict")
    assert result.output == b"disk".ljust(3 << 20, b"\0")


def test_qemu_img_check_accepts_the_qcow2(tmp_path):
    (tmp_path / "image").write_bytes(image_bytes("qcow2", 5 << 30))
    subprocess.run(["qemu-img", "check", "-f", "qcow2", "image"], cwd=tmp_path, check=True, capture_output=True)
