"""Plugin processes that serve several images, one after the other, where the operator says so."""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from douane.declared import DeclaredImage
from douane.engine import PlanError, Report, RunOptions, WarmRun, inspect_image, load_plan, open_source
from douane.host import launch
from douane.host.parked_process import ParkedProcess
from douane.host.pool import ProcessPool
from douane.host.reusable_plugin import ReusablePlugin
from douane.sandbox import Tier
from douane_plugin import wire
from support.plans import plan_of, plugin
from support.processes import SECONDS, wait_for_end
from support.services import Service
from support.wire_programs import ACCEPT, begin, frame, speaker

PLUGINS = Path(__file__).parent / "plugins" / "keeping.py"
IDLE = frame(wire.IDLE)
FINDINGS = {"reads": "findings", "reuse": True}
"""A program that is sent no frames of data."""

Inspect = Callable[..., Report]


class Host:
    """Inspects images in one thread, as a worker of the agent does."""

    def __init__(self, folder: Path, tier: Tier) -> None:
        self.pool: ProcessPool[ParkedProcess] = ProcessPool()
        self.config = folder / "plan.toml"
        self.log: list[str] = []
        self._folder = folder
        self._tier = tier

    def inspect(self, image: bytes, toml: str | None = None) -> Report:
        if toml is not None:
            self.config.write_text(toml)
        path = self._folder / "image"
        path.write_bytes(image)
        options = RunOptions(tier=self._tier, pool=self.pool, emit=lambda _plugin, _level, text: self.log.append(text))
        return inspect_image(load_plan(str(self.config)), DeclaredImage(), open_source(str(path)), None, options)

    def idle(self) -> list[int]:
        """The outermost processes of those that wait."""
        return [process.process.pid for _, process in self.pool._idle]


@pytest.fixture
def host(tmp_path: Path, tier: Tier, nothing_left: None) -> Iterator[Host]:
    host = Host(tmp_path, tier)
    yield host
    host.pool.close()


def process_of(report: Report, name: str = "keeping") -> object:
    assert report.outcome == "accepted", report
    return report.properties[f"{name}.process"]


def earlier(report: Report) -> int:
    """The images that the process of the first plugin had served before."""
    ran = report.verdicts[0].ran
    assert ran is not None
    return ran.earlier_images


def test_what_is_loaded_is_loaded_once_for_n_images_and_each_has_a_new_instance(host: Host) -> None:
    host.config.write_text(plan_of("keeping:Keeping", reuse=3, config={"text": "model"}))
    reports = [host.inspect(b"image %d" % number) for number in range(4)]
    assert [report.outcome for report in reports] == ["accepted"] * 4
    assert [report.properties["keeping.images"] for report in reports] == [1] * 4
    assert [earlier(report) for report in reports] == [0, 1, 2, 0]
    processes = [process_of(report) for report in reports]
    models = [str(report.properties["keeping.model"]) for report in reports]
    assert len(set(processes[:3])) == len(set(models[:3])) == 1
    assert processes[3] != processes[2] and models[3] != models[2]
    assert all(model.startswith("model-") for model in models)


def test_without_the_key_a_process_serves_one_image(host: Host) -> None:
    host.config.write_text(plan_of("keeping:Keeping"))
    assert process_of(host.inspect(b"first")) != process_of(host.inspect(b"second"))
    assert len(host.pool) == 0


@pytest.mark.parametrize(("word", "code"), [(b"refuse", "unwanted"), (b"incomplete", "partial")])
def test_a_process_that_refused_serves_the_next_image(host: Host, word: bytes, code: str) -> None:
    host.config.write_text(plan_of("keeping:Keeping", reuse=9))
    first = process_of(host.inspect(b"first"))
    report = host.inspect(word)
    assert (report.code, earlier(report)) == (code, 1)
    last = host.inspect(b"last")
    assert (process_of(last), earlier(last)) == (first, 2)


@pytest.mark.parametrize("word", [b"fail", b"die", b"hang", b"defer"])
def test_a_process_that_gave_no_verdict_serves_no_further_image(host: Host, word: bytes) -> None:
    host.config.write_text(plan_of("keeping:Keeping", reuse=9, stall="300ms"))
    first = process_of(host.inspect(b"first"))
    assert host.inspect(word).outcome == "undecided"
    assert host.idle() == []
    last = host.inspect(b"last")
    assert process_of(last) != first and earlier(last) == 0


def test_warnings_and_log_lines_are_those_of_the_image(host: Host) -> None:
    host.config.write_text(plan_of("keeping:Keeping", reuse=9))
    counts = [len(host.inspect(image).verdicts[0].warnings) for image in (b"warn", b"none", b"warn")]
    assert counts == [1, 0, 1]
    assert [line for line in host.log if line.startswith("saw")] == ["saw 4 bytes"] * 3


def test_a_process_that_writes_files_between_images_ends(host: Host) -> None:
    host.config.write_text(plan_of("keeping:Keeping", reuse=9, scratch="1MiB"))
    first = process_of(host.inspect(b"first"))
    host.pool.check()
    ends = [os.pidfd_open(pid) for pid in host.idle()]
    [(_, parked)] = host.pool._idle
    folder = parked.process._folder
    assert folder is not None
    Path(folder.path, "file").write_bytes(bytes(2 << 20))
    wait_until_measured(parked)
    host.pool.check()
    assert host.idle() == []
    assert wait_for_end(ends)
    assert process_of(host.inspect(b"second")) != first


def wait_until_measured(parked: ParkedProcess) -> None:
    """The folder is not measured all the time."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        usage = parked.process.temporary()
        assert usage is not None
        if usage.bytes:
            return
    raise AssertionError("the file is not measured")


def test_a_process_that_is_killed_between_images_is_replaced(host: Host) -> None:
    host.config.write_text(plan_of("keeping:Keeping", reuse=9))
    first = process_of(host.inspect(b"first"))
    [pid] = host.idle()
    end = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    assert wait_for_end([end])
    report = host.inspect(b"second")
    assert process_of(report) != first and earlier(report) == 0


def test_a_class_that_can_be_made_once_only_gets_a_new_process(host: Host) -> None:
    host.config.write_text(plan_of("keeping:OnceOnly", reuse=9))
    first = process_of(host.inspect(b"first"), "onceonly")
    report = host.inspect(b"second")
    assert process_of(report, "onceonly") != first and earlier(report) == 0
    assert any("serves no further one" in line and "it was made before" in line for line in host.log)


def test_a_process_that_is_replaced_leaves_no_broker(host: Host) -> None:
    with Service() as service:
        host.config.write_text(plan_of("keeping:OnceOnly", reuse=9, grants={"service": service.target}))
        for _ in range(3):
            assert process_of(host.inspect(b"image"), "onceonly")
        assert any("serves no further one" in line for line in host.log)
        assert [thread.name for thread in threading.enumerate() if thread.name.startswith("broker")] == []


def test_the_end_of_a_process_that_was_replaced_is_not_that_of_the_new_one(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.config.write_text(plan_of("keeping:OnceOnly", reuse=9))
    first = process_of(host.inspect(b"first"), "onceonly")
    begin_ = ReusablePlugin._begin

    def begin_and_wait(self: ReusablePlugin, *supplies: Any) -> bytes:
        """Until the process that takes no other image has failed and ended, so that the loop sees both at once."""
        sent = begin_(self, *supplies)
        if self.earlier_images:
            assert self._process._process is not None
            assert select.select([self._process._process], [], [], SECONDS)[0]
        return sent

    monkeypatch.setattr(ReusablePlugin, "_begin", begin_and_wait)
    assert process_of(host.inspect(b"second"), "onceonly") != first


def leaving(tmp_path: Path, **keys: Any) -> str:
    rules = tmp_path / "rules"
    if not rules.exists():
        rules.write_text("the rules")
    return plan_of("keeping:Leaving", reuse=9, grants={"rules": f"file:{rules}"}, **keys)


@pytest.mark.parametrize("thing", ["thread", "chatter", "child", "view"])
def test_a_process_in_which_something_of_an_image_goes_on_serves_no_further_image(
    host: Host, tmp_path: Path, thing: str
) -> None:
    host.config.write_text(leaving(tmp_path, programs=["sleep"]))
    first = process_of(host.inspect(f"{thing}\n".encode() + os.urandom(3 << 20)), "leaving")
    report = host.inspect(b"nothing\n")
    assert process_of(report, "leaving") != first and earlier(report) == 0


def test_threads_that_have_ended_are_no_hindrance(host: Host, tmp_path: Path) -> None:
    host.config.write_text(leaving(tmp_path))
    assert [earlier(host.inspect(b"joined\n")) for _ in range(5)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("keys", [{}, {"scratch": "1MiB"}], ids=["small", "large"])
def test_what_an_image_left_cannot_be_used_for_the_next(host: Host, tmp_path: Path, keys: dict[str, str]) -> None:
    host.config.write_text(leaving(tmp_path, **keys))
    words = ["descriptor", "file", "temporary", "environment", "output", *keys]
    for word in words:
        host.inspect(f"{word}\n".encode())
    report = host.inspect(b"nothing\n")
    assert earlier(report) == len(words)
    facts = {name.partition(".")[2]: value for name, value in report.properties.items()}
    assert facts["kept"] == "OSError,ValueError"  # a dead descriptor, a closed file
    assert (facts["environment"], facts["umask"], facts["temporary"]) == (False, 0o022, 0)
    assert facts.get("scratch", "") == ""
    assert facts["rules"] == "the rules"  # from the beginning, though each image has read them


def test_a_granted_file_that_changed_needs_a_new_process(host: Host, tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.write_text("first rules")
    host.config.write_text(plan_of("keeping:Mapped", reuse=9, grants={"rules": f"file:{rules}"}))
    reports = [host.inspect(b"one"), host.inspect(b"two")]
    assert [report.properties["mapped.rules"] for report in reports] == ["first rules"] * 2
    assert earlier(reports[1]) == 1
    rules.write_text("other rules")
    report = host.inspect(b"three")
    assert (report.properties["mapped.rules"], earlier(report)) == ("other rules", 0)


def test_a_granted_folder_that_changed_needs_a_new_process(host: Host, tmp_path: Path) -> None:
    (tmp_path / "database").mkdir()
    (tmp_path / "database" / "first").touch()
    grants = {"database": f"dir:{tmp_path}/database"}
    host.config.write_text(plan_of("keeping:Keeping", reuse=9, grants=grants))
    assert [earlier(host.inspect(b"image")) for _ in range(2)] == [0, 1]
    (tmp_path / "database" / "second").touch()
    assert [earlier(host.inspect(b"image")) for _ in range(2)] == [0, 1]


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_each_image_has_a_connection_of_its_own(host: Host, tmp_path: Path, kind: str) -> None:
    family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as service:
        service.bind(str(tmp_path / "service") if kind == "unix" else ("127.0.0.1", 0))
        service.listen()

        def answer() -> None:
            for number in range(3):
                clients = [service.accept()[0] for _ in range(2)]
                for client in clients:
                    client.sendall(b"%d: %s" % (number, client.recv(100)))
                    client.close()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        target = service.getsockname()
        address = f"unix:{target}" if kind == "unix" else f"tcp:127.0.0.1:{target[1]}"
        host.config.write_text(plan_of("keeping:Connected", reuse=9, grants={"service": address}))
        reports = [host.inspect(b"image") for _ in range(3)]
        thread.join()
    assert [report.properties["connected.answer"] for report in reports] == ["0: hello", "1: hello", "2: hello"]
    assert [report.properties["connected.further"] for report in reports] == ["0: again", "1: again", "2: again"]
    assert earlier(reports[2]) == 2


def test_data_that_a_plugin_did_not_read_is_not_taken_for_the_next_image(host: Host) -> None:
    host.config.write_text(plan_of("keeping:Early", "good:Count", reuse=1).replace("reuse = 1", "reuse = 9", 1))
    reports = [host.inspect(word + os.urandom(5 << 20)) for word in (b"first ", b"second", b"third ")]
    assert [report.properties["early.size"] for report in reports] == [6] * 3
    assert earlier(reports[2]) == 2


def test_a_plan_that_changed_needs_new_processes(host: Host, tmp_path: Path) -> None:
    source = tmp_path / "mine.py"
    source.write_text(PLUGINS.read_text())

    def table(**keys: Any) -> str:
        return plugin(f"{source}:Keeping", "mine", reuse=9, **keys)

    def first_of(toml: str) -> int:
        report = host.inspect(b"image", toml)
        assert report.outcome == "accepted", report
        return earlier(report)

    assert [first_of(table()) for _ in range(2)] == [0, 1]
    assert first_of(table(config={"text": "other"})) == 0
    assert first_of(table(memory="300MiB")) == 0
    assert first_of(table() + plugin("format")) == 0
    assert first_of(table()) == 2  # the plan of the beginning, whose process has waited
    source.write_text(source.read_text() + "\n# another digest\n")
    assert first_of(table()) == 0


def test_an_image_that_breaks_off_ends_the_process(host: Host) -> None:
    host.config.write_text(plan_of("keeping:Keeping", reuse=9))
    first = process_of(host.inspect(b"first"))
    reading, writing = os.pipe()
    os.write(writing, b"half an image")
    os.close(writing)
    source = open_source(f"/proc/self/fd/{reading}", size=1 << 20)
    plan = load_plan(str(host.config))
    report = inspect_image(plan, DeclaredImage(), source, None, RunOptions(tier=host._tier, pool=host.pool))
    os.close(reading)
    assert report.outcome == "undecided", report
    assert host.idle() == []
    assert process_of(host.inspect(b"last")) != first


@pytest.mark.parametrize(
    ("toml", "reason"),
    [
        (plan_of("keeping:AtRandom", reuse=2), "it reads at random"),
        (plan_of("good:Upper", reuse=2), "its output is the image"),
        (plugin("exec:/bin/cat", "cat", reuse=2), "ends with the image"),
        (
            plan_of("keeping:Connected", reuse=2, grants={"service": "unix:/nowhere"}, socket_paths=["service"]),
            "'socket_paths'",
        ),
        (plugin("format", reuse=2), "built-in plugins load nothing"),
        (plan_of("keeping:Keeping", reuse=0), "from 1 to 100"),
        (plan_of("keeping:Keeping", reuse=101), "from 1 to 100"),
    ],
    ids=["random", "transform", "program", "socket-paths", "built-in", "0", "101"],
)
def test_reuse_is_refused_where_it_cannot_be(host: Host, toml: str, reason: str) -> None:
    with pytest.raises(PlanError, match="reuse") as raised:
        host.inspect(b"image", toml)
    assert reason in str(raised.value)


def test_a_waiting_run_is_not_usable_for_ever_if_its_process_is_not_new(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.config.write_text(plan_of("keeping:Keeping", reuse=9))
    options = RunOptions(tier=host._tier, pool=host.pool)
    monkeypatch.setattr(launch, "IDLE_SECONDS", -1.0)
    usable = []
    for number in range(2):
        warm = WarmRun(load_plan(str(host.config)), options)
        usable.append(warm.is_usable())
        warm.close()
        if number == 0:
            host.inspect(b"image")
    assert usable == [True, False]


@pytest.mark.usefixtures("wire_c")
class TestOtherRuntimes:
    """Programs that speak the wire, well or not."""

    def use(self, *words: bytes | str, **keys: Any) -> str:
        return plugin(speaker(*words), "wired", reuse=9, **keys)

    def test_a_runtime_that_does_not_know_of_reuse_gets_a_process_for_each_image(self, host: Host) -> None:
        host.config.write_text(self.use(*begin(), ACCEPT))
        reports = [host.inspect(b"image") for _ in range(2)]
        assert [(report.outcome, earlier(report)) for report in reports] == [("accepted", 0)] * 2

    def test_a_program_may_serve_several_images(self, host: Host) -> None:
        again = ["<", frame(wire.READY), "<", ACCEPT, IDLE]
        host.config.write_text(self.use(*begin(**FINDINGS), ACCEPT, IDLE, *again, *again, "hang"))
        reports = [host.inspect(b"") for _ in range(3)]
        assert [(report.outcome, earlier(report)) for report in reports] == [("accepted", n) for n in range(3)]

    @pytest.mark.parametrize(
        "frames",
        [
            pytest.param([*begin(reuse=True), IDLE], id="before-the-answer"),
            pytest.param([*begin(), ACCEPT, IDLE], id="without-having-said-that-it-can"),
            pytest.param([*begin(reuse=True), ACCEPT, ACCEPT], id="answers-twice"),
            pytest.param([*begin(reuse=True), ACCEPT, IDLE[:5]], id="a-part-of-it"),
        ],
    )
    def test_an_idle_that_may_not_come_is_a_violation(self, host: Host, frames: list[bytes | str]) -> None:
        report = host.inspect(b"", self.use(*frames, "hang"))
        assert (report.outcome, report.code) == ("undecided", "plugin-protocol"), report
        assert host.idle() == []

    @pytest.mark.parametrize(
        "frames",
        [
            pytest.param([IDLE], id="ends"),
            pytest.param([], id="ends-without-it"),
            pytest.param([IDLE, "<", "exit:3"], id="ends-at-the-next-image"),
            pytest.param([IDLE, "<", frame(wire.LOG, {"message": "m"}), ACCEPT, "hang"], id="answers-unasked"),
            pytest.param([IDLE, "<", "hang"], id="is-never-ready"),
        ],
    )
    def test_what_a_process_does_between_images_is_no_fault_of_the_next(
        self, host: Host, frames: list[bytes | str]
    ) -> None:
        host.config.write_text(self.use(*begin(**FINDINGS), ACCEPT, *frames, start="2s"))
        reports = [host.inspect(b"") for _ in range(2)]
        assert [(report.outcome, earlier(report)) for report in reports] == [("accepted", 0)] * 2

    @pytest.mark.parametrize("rest", [IDLE, b"\1"], ids=["talks-on", "a-part-of-a-frame"])
    def test_a_process_that_talks_on_serves_no_further_image(self, host: Host, rest: bytes) -> None:
        host.config.write_text(self.use(*begin(**FINDINGS), ACCEPT, IDLE, rest, "hang"))
        for _ in range(3):  # it is a violation if the rest comes with the answer, and too late if it comes after it
            report = host.inspect(b"")
            assert (report.outcome, report.code) in (("accepted", None), ("undecided", "plugin-protocol"))
            assert earlier(report) == 0

    def test_a_refusal_stands_whatever_follows_it(self, host: Host) -> None:
        refusal = frame(wire.REFUSE, {"code": "unwanted", "message": "m"})
        for rest in ([], [ACCEPT, "hang"], [IDLE, ACCEPT, "hang"], ["hang"]):
            report = host.inspect(b"", self.use(*begin(reuse=True), refusal, *rest, on_error="warn"))
            assert (report.outcome, report.code) == ("refused", "unwanted"), rest
