"""Runs of real plugins in real sandboxes, in each tier."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import shutil
import socket
import subprocess
import threading
import venv
from pathlib import Path

import pytest

import douane_plugin
from douane.engine import PlanError
from support.plans import PLUGINS, plan_of
from support.sinks import KeptFile

pytestmark = pytest.mark.usefixtures("nothing_left")

MIB = 1 << 20


def good(*names: str) -> str:
    return plan_of(*(f"good:{name}" for name in names))


def by_name(report):
    return {verdict.plugin: verdict for verdict in report.verdicts}


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, 20 * MIB + 5])
def test_all_plugins_see_all_bytes_and_the_digests_are_those_of_the_image(run, size):
    data = os.urandom(size)
    report = run(data, toml=good("Count", "Digest"))
    assert report.outcome == "accepted"
    verdicts = by_name(report)
    assert verdicts["count"].properties == {"count.bytes": size}
    assert verdicts["digest"].properties == {"digest.sha256": hashlib.sha256(data).hexdigest()}
    assert (verdicts["count"].bytes_seen, verdicts["count"].bytes_total) == (size, size)
    for name in ("md5", "sha256", "sha512"):
        assert getattr(report.received, name) == hashlib.new(name, data).hexdigest()
    assert report.received == report.stored


@pytest.mark.parametrize("at", [0, 4094, 4096, MIB - 3, 3 * MIB - 1])
def test_a_pattern_across_chunks_is_found(run, at):
    data = bytearray(b"\xee" * (4 * MIB))
    data[at : at + 6] = b"needle"
    report = run(bytes(data), toml=good("Needle") + '\nconfig = { text = "needle" }')
    assert (report.outcome, report.code) == ("refused", "needle")
    assert report.message == f"the image holds b'needle' at {at}"


@pytest.mark.parametrize("name", ["FirstByte", "Head"])
def test_an_early_refusal_does_not_read_the_rest(run, name):
    report = run(b"\xaa" * (64 * MIB), toml=good(name, "Count"))
    assert report.outcome == "refused"
    assert report.received.size <= 4 * MIB
    assert not report.received.complete
    assert report.received.digests() == {}
    assert by_name(report)["count"].outcome == "stopped"


def test_a_plugin_that_reads_nothing_gets_the_declared_facts(run):
    declared = {"name": "web", "disk_format": "raw", "properties": {"colour": "blue"}}
    report = run(b"12345", toml=good("Declared"), declared=declared)
    assert by_name(report)["declared"].properties == {
        "declared.name": "web",
        "declared.size": 5,
        "declared.disk_format": "raw",
        "declared.colour": "blue",
    }


@pytest.mark.parametrize("reader", ["Random", "HiddenRandom"])
@pytest.mark.parametrize("transforms", [(), ("Upper",), ("PassOn",)])
def test_a_plugin_that_reads_at_random_gets_a_file_and_a_path(run, reader, transforms):
    report = run(b"abcd" * MIB + b"wxyz", toml=good(*transforms, reader))
    assert report.outcome == "accepted", report
    head, tail = (b"ABCD", b"WXYZ") if transforms == ("Upper",) else (b"abcd", b"wxyz")
    name = reader.lower()
    assert by_name(report)[name].properties == {
        f"{name}.head": head.hex(),
        f"{name}.tail": tail.hex(),
        f"{name}.size": 4 * MIB + 4,
    }


def test_a_plugin_that_reads_at_random_sees_the_stored_bytes(run, tmp_path):
    sink = KeptFile(tmp_path / "stored")
    report = run(b"abcd" * MIB, toml=good("Upper", "Random"), sink=sink)
    assert by_name(report)["random"].properties["random.head"] == b"ABCD".hex()
    assert sink.content() == b"ABCD" * MIB


def test_an_image_from_a_pipe_can_be_read_at_random(run, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(b"abcd" * MIB))
    writer.start()
    report = run(str(pipe), toml=good("Random"))
    writer.join()
    assert by_name(report)["random"].properties["random.size"] == 4 * MIB


def test_a_file_that_changes_after_it_was_read_is_stored_as_it_was_read(run, tmp_path):
    path = tmp_path / "image"
    good_bytes = os.urandom(2 * MIB)
    path.write_bytes(good_bytes)
    server, place = gate(tmp_path)

    def swap():
        peer, _ = server.accept()
        peer.recv(1)  # the transform has its image: all of it has been read
        with path.open("r+b") as file:
            file.write(b"EVIL" * (MIB // 2))
        peer.sendall(b"x")
        peer.close()

    thread = threading.Thread(target=swap)
    thread.start()
    sink = KeptFile(tmp_path / "stored")
    toml = good("Digest") + "\n" + good("RandomPassOnAfterGate") + f'\ngrants = {{ gate = "unix:{place}" }}'
    report = run(str(path), toml=toml, sink=sink)
    thread.join()
    server.close()
    assert report.outcome == "accepted", report
    assert sink.content() == good_bytes
    assert report.received.sha256 == report.stored.sha256 == hashlib.sha256(good_bytes).hexdigest()
    assert by_name(report)["digest"].properties["digest.sha256"] == report.stored.sha256


def test_the_pages_of_a_mapped_image_are_not_the_memory_of_the_plugin(run, tmp_path):
    path = tmp_path / "image"
    with path.open("wb") as file:
        file.truncate(300 * MIB)
    report = run(str(path), toml=plan_of("good:Maps", memory="64MiB"))
    assert report.outcome == "accepted", report.message


def test_an_image_in_memory_can_be_read_at_random(run, tmp_path):
    path = Path("/dev/shm") / f"douane-test-{os.getpid()}"
    path.write_bytes(b"abcd" * MIB)
    try:
        report = run(str(path), toml=good("Random"))
    finally:
        path.unlink()
    assert report.outcome == "accepted", report


def test_a_format_before_a_transform_is_not_that_of_the_stored_image(run, tmp_path):
    path = tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "1M"], check=True)
    packed = gzip.compress(path.read_bytes())
    toml = '[[plugin]]\nname = "format"\nuse = "format"\n' + good("Unpack")
    report = run(packed, toml=toml)
    assert (report.outcome, report.disk_format, report.virtual_size) == ("accepted", "qcow2", MIB), report


def test_the_deadline_ends_a_run_whose_pipe_has_no_writer(run, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    report = run(str(pipe), toml='[import]\ndeadline = "1s"\n' + good("Count"))
    assert (report.outcome, report.code) == ("undecided", "deadline")


def test_a_program_is_called_by_its_configured_name(run, tmp_path):
    report = run(os.urandom(1000), ["packed=exec:unxz"])
    assert report.outcome != "accepted", report
    assert run(lzma.compress(b"x" * 1000), ["packed=exec:unxz"]).outcome == "accepted"


def test_declared_facts_are_bounded(run):
    with pytest.raises(PlanError, match="at most 65536"):
        run(b"x", toml=good("Count"), declared={"properties": {"a": "x" * 70_000}})


def test_a_private_file_can_be_read_at_random(run, tmp_path):
    path = tmp_path / "private"
    path.write_bytes(b"abcd" * MIB)
    path.chmod(0o600)
    report = run(str(path), toml=good("Random"))
    assert report.outcome == "accepted", report
    assert by_name(report)["random"].properties["random.head"] == b"abcd".hex()


def test_a_granted_program_gets_the_path(run, tmp_path):
    path = tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "123M"], check=True)
    toml = good("QemuInfo") + '\nprograms = ["qemu-img"]'
    report = run(str(path), toml=toml, declared={"disk_format": "qcow2"})
    assert report.outcome == "accepted", report
    assert by_name(report)["qemuinfo"].properties == {"qemuinfo.virtual_size": 123 * MIB}


def test_a_program_without_a_grant_cannot_be_run(run, tmp_path):
    report = run(b"x", toml=good("QemuInfo"), declared={"disk_format": "raw"})
    assert (report.outcome, report.code) == ("undecided", "plugin-error")
    assert "Error" in by_name(report)["qemuinfo"].detail


def test_log_output_and_warnings_arrive(run):
    log: list[tuple[str, int, str]] = []
    report = run(b"x", toml=good("Speaks"), log=log)
    assert report.outcome == "accepted"
    assert ("speaks", 20, "from the log") in log
    assert ("speaks", 20, "from print") in log
    [warning] = by_name(report)["speaks"].warnings
    assert (warning.code, warning.message) == ("old", "the image is old")


def test_a_deferred_image_is_undecided(run):
    report = run(b"x", toml=good("Defers"))
    assert (report.outcome, report.code, report.retry_after) == ("undecided", "deferred", 60)
    assert report.message == "the rules are being loaded"


def test_the_operator_decides_about_incomplete(run):
    assert run(b"x", toml=good("Incompletes")).outcome == "undecided"
    report = run(b"x", toml=good("Incompletes") + '\non_incomplete = "warn"')
    assert report.outcome == "accepted"
    assert by_name(report)["incompletes"].code == "encrypted"


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_a_plugin_reaches_its_grants_only(run, tmp_path, kind):
    (tmp_path / "rules").write_text("one two three")
    if kind == "unix":
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(tmp_path / "daemon"))
        target = f"unix:{tmp_path}/daemon"
    else:
        server = socket.create_server(("127.0.0.1", 0))
        target = f"tcp:127.0.0.1:{server.getsockname()[1]}"
    server.listen()

    def serve():
        peer, _ = server.accept()
        if peer.recv(16) == b"PING\n":
            peer.sendall(b"PONG\n")
        peer.close()

    thread = threading.Thread(target=serve)
    thread.start()
    toml = good("Granted") + f'\ngrants = {{ rules = "file:rules", daemon = "{target}" }}'
    report = run(b"x", toml=toml)
    thread.join()
    server.close()
    assert report.outcome == "accepted", report
    assert by_name(report)["granted"].properties == {"granted.rules": 3, "granted.daemon": "PONG"}


def test_a_service_that_does_not_answer_is_a_failure(run, tmp_path):
    (tmp_path / "rules").write_text("x")
    toml = good("Granted") + f'\ngrants = {{ rules = "file:rules", daemon = "unix:{tmp_path}/gone" }}'
    report = run(b"x", toml=toml)
    assert (report.outcome, report.code) == ("undecided", "grant-unavailable")
    assert "gone does not answer" in by_name(report)["granted"].detail


@pytest.mark.parametrize(
    ("grant", "sentence"),
    [
        ("file:gone", "gone cannot be opened: No such file"),
        ("file:.", "is not a regular file"),
        ("http://x", "is written file:PATH, dir:PATH, unix:PATH or tcp:HOST:PORT"),
        ("tcp:localhost", "is written tcp:HOST:PORT"),
    ],
)
def test_a_grant_that_cannot_be_opened_is_a_wrong_configuration(run, grant, sentence):
    with pytest.raises(PlanError, match=rf"'granted': grant 'rules'.*{sentence}"):
        run(b"x", toml=good("Granted") + f'\ngrants = {{ rules = "{grant}" }}')


def test_numpy_threads_and_late_imports_work(run):
    report = run(b"\x01" * (3 * MIB), toml=good("UsesNumpy") + '\nmemory = "1GiB"')
    assert report.outcome == "accepted", report
    assert by_name(report)["usesnumpy"].properties == {"usesnumpy.sum": 3 * MIB, "usesnumpy.products": 1}


@pytest.mark.parametrize("name", ["Upper", "HiddenTransform"])
def test_a_transform_makes_a_new_image_for_those_after_it(run, tmp_path, name):
    data = os.urandom(1000) + b"abc" * (4 * MIB)
    sink = KeptFile(tmp_path / "stored")
    count = plan_of("good:Count") + "\n"
    report = run(data, toml=count + good(name) + "\n" + good("Digest"), sink=sink)
    assert report.outcome == "accepted", report
    assert sink.content() == data.upper()
    assert report.received.md5 == hashlib.md5(data).hexdigest()
    assert report.stored.md5 == hashlib.md5(data.upper()).hexdigest()
    assert by_name(report)["digest"].properties["digest.sha256"] == hashlib.sha256(data.upper()).hexdigest()


@pytest.mark.parametrize("size", [10, 30 * MIB])
def test_received_digests_may_differ_from_stored_digests(run, size):
    digests = '[import]\ndigests = ["md5", "sha512"]\nreceived_digests = ["sha256"]\n'
    data = os.urandom(size)
    received = {"sha256": hashlib.sha256(data).hexdigest()}
    report = run(data, toml=digests + good("Upper"))
    assert report.is_transformed
    assert report.received.digests() == received
    assert report.stored.digests() == {name: hashlib.new(name, data.upper()).hexdigest() for name in ("md5", "sha512")}
    report = run(data, toml=digests + good("PassOn"))
    assert not report.is_transformed
    assert report.received == report.stored
    assert report.received.digests() == {
        name: hashlib.new(name, data).hexdigest() for name in ("md5", "sha256", "sha512")
    }


def test_the_format_is_inspected_again_after_a_transform(run):
    verdicts = by_name(run(b"abc" * MIB, toml=good("Upper")))
    assert verdicts["format-after-upper"].outcome == "accepted"


def test_transforms_run_in_sequence(run, tmp_path):
    data = os.urandom(5 * MIB) + b"trailer"
    sink = KeptFile(tmp_path / "stored")
    toml = good("Upper") + "\n" + good("StripTrailer") + "\nconfig = { length = 7 }\n" + good("Count")
    report = run(data, toml=toml, sink=sink)
    assert report.outcome == "accepted", report
    assert sink.content() == data.upper()[:-7]
    assert by_name(report)["striptrailer"].properties == {"striptrailer.stripped": 7}
    assert by_name(report)["count"].properties == {"count.bytes": 5 * MIB}


@pytest.mark.parametrize("names", [("PassOn",), ("PassOn", "RandomPassOn"), ("RandomPassOn",), ("PassOn", "Upper")])
@pytest.mark.parametrize("size", [1, 10, 4 * MIB, 30 * MIB])
def test_a_transform_with_nothing_to_do_changes_no_byte(run, tmp_path, names, size):
    data = os.urandom(size)
    sink = KeptFile(tmp_path / "stored")
    report = run(data, toml=good(*names, "Count"), sink=sink)
    assert report.outcome == "accepted", report
    assert sink.content() == (data.upper() if "Upper" in names else data)
    assert by_name(report)["count"].properties == {"count.bytes": size}


def test_a_transform_that_decides_too_late_fails_with_the_reason(run):
    report = run(os.urandom(30 * MIB), toml=good("PassOnLate"))
    assert (report.outcome, report.code) == ("undecided", "plugin-error")
    assert "unchanged() must be called before" in by_name(report)["passonlate"].detail


def test_a_transform_may_read_all_before_its_first_output(run, tmp_path):
    sink = KeptFile(tmp_path / "stored")
    report = run(os.urandom(30 * MIB), toml=good("LooksAtMuch", "Count"), sink=sink)
    assert report.outcome == "accepted", report
    assert sink.content() == str(30 * MIB).encode()


def test_a_transform_may_read_at_random(run, tmp_path):
    sink = KeptFile(tmp_path / "stored")
    data = os.urandom(6 * MIB)
    report = run(data, toml=good("RandomReverse"), sink=sink)
    assert report.outcome == "accepted", report
    assert sink.content() == data[::-1]


def test_a_transform_that_seeks_may_grow_the_image(run):
    report = run(b"abc" * MIB, toml=good("RandomGrow", "Count"))
    assert report.outcome == "accepted", report
    assert report.stored.size == 90 * MIB


def test_the_last_formats_of_a_transform_are_those_of_the_stored_image(run):
    report = run(b"abc", toml=good("BecomesLate"), declared={"disk_format": "raw"})
    assert (report.outcome, report.disk_format, report.container_format) == ("accepted", "raw", "ovf"), report


def test_a_plugin_that_reads_at_random_is_told_the_format(run, tmp_path):
    path = tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "1M"], check=True)
    report = run(str(path), [f"{PLUGINS}/good.py:ToldFormat"])
    assert by_name(report)["toldformat"].properties == {"toldformat.told": "qcow2"}


def test_the_properties_of_an_auditor_stay_in_its_verdict(run):
    toml = good("Digest") + "\n" + plan_of("good:Count", mode="audit")
    report = run(os.urandom(MIB) * 100, toml=toml)
    assert report.outcome == "accepted", report
    assert [verdict.plugin for verdict in report.verdicts] == ["digest", "count"]
    assert by_name(report)["digest"].outcome == "accepted"
    assert "count.bytes" not in report.properties


def test_a_refusal_does_not_wait_for_the_digests_of_a_hole(run, tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # an hour and more of zeros
    report = run(str(path), toml=good("Head"))
    assert (report.outcome, report.code) == ("refused", "no-boot-signature")


def test_a_warning_from_a_thread_may_come_at_any_time(run):
    report = run(b"x", toml=good("WarnsFromThread"))
    assert report.outcome == "accepted", report


def test_the_largest_number_of_properties(run):
    report = run(b"x", toml=good("ManyProperties"))
    assert report.outcome == "accepted", report
    assert len(report.properties) == 64


def test_repeated_format_inspectors_have_names_of_their_own(run):
    plan = plan_of("good:Upper") + f'\n[[plugin]]\nname = "format-after-upper"\nuse = "{PLUGINS}/good.py:Count"'
    plan += f'\n[[plugin]]\nname = "{"x" * 48}"\nuse = "{PLUGINS}/good.py:Upper"'
    plan += f'\n[[plugin]]\nname = "{"x" * 47}y"\nuse = "{PLUGINS}/good.py:Upper"'
    names = [verdict.plugin for verdict in run(b"x" * 600, toml=plan).verdicts]
    assert len(names) == len(set(names)) == 7


def test_debug_lines_are_off_by_default(run, tmp_path):
    (tmp_path / "p.py").write_text(
        "from douane_plugin import Inspector\nclass P(Inspector):\n"
        "    def inspect(self, image):\n        self.log.debug('detail'); self.log.info('news')\n"
    )
    log: list[tuple[str, int, str]] = []
    run(b"x" * 600, [f"{tmp_path}/p.py:P"], log=log)
    assert [text for plugin, _, text in log if plugin == "p"] == ["news"]


def test_an_empty_output_is_refused_by_the_format_inspector(run):
    report = run(b"abc", toml=good("Nothing"))
    assert report.outcome == "refused"
    assert by_name(report)["format-after-nothing"].code == "empty"


def test_an_empty_output_is_refused_even_if_an_empty_image_would_pass(run):
    report = run(b"abc", toml=good("Nothing"), declared={"disk_format": "raw", "container_format": "bare"})
    assert by_name(report)["format-after-nothing"].outcome == "accepted"
    assert (report.outcome, report.code, report.stored.complete) == ("refused", "empty", False)


def test_a_raw_image_may_arrive_empty(run):
    plan = '[[plugin]]\nname = "unpack"\nuse = "decompress"\n[[plugin]]\nname = "format"\nuse = "format"\n'
    report = run(b"", toml=plan, declared={"disk_format": "raw", "container_format": "bare"})
    assert (report.outcome, report.stored.size, report.is_transformed) == ("accepted", 0, False)
    assert [warning.code for warning in by_name(report)["format"].warnings] == ["empty"]


def test_a_transform_cannot_be_optional(run):
    with pytest.raises(PlanError, match="'upper' is a transform"):
        run(b"x", toml=good("Upper") + '\nmode = "warn"')


def test_holes_are_stored_as_holes(run, tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.write(b"begin")
        file.seek(200 * MIB)
        file.write(b"end" + bytes(2 * MIB))
    sink = KeptFile(tmp_path / "stored")
    report = run(str(path), toml=good("Count"), sink=sink)
    assert by_name(report)["count"].properties == {"count.bytes": 202 * MIB + 3}
    assert sink.size == 202 * MIB + 3
    assert sink.path.stat().st_blocks * 512 <= MIB
    assert hashlib.md5(sink.content()).hexdigest() == report.stored.md5


def test_an_unknown_contract_level_stops_the_start(run):
    with pytest.raises(PlanError, match=r"'fromthefuture'.*level 99, and this Douane knows 1 to 1"):
        run(b"x", toml=good("FromTheFuture"))


@pytest.mark.parametrize(
    ("use", "settings", "sentence"),
    [
        (f"{PLUGINS}/good.py:Nothere", (), "there is no 'Nothere' in .*good.py; it has: .*Count, Digest"),
        (f"{PLUGINS}/gone.py:Gone", (), "gone.py cannot be read: No such file"),
        ("nosuchmodule:Thing", (), "there is no module 'nosuchmodule'"),
        (
            "nosuchplugin",
            (),
            "no installed plugin 'nosuchplugin' in Douane's own interpreter; installed are: .*format, .*limits",
        ),
        (f"{PLUGINS}/good.py", (), r"good.py' names a file and no class; write .*/good.py:CLASS"),
        ("checks/no-page.sh", (), "is a path; write exec:checks/no-page.sh if it is a program"),
        ("exec:/no/such/program", (), "there is no program '/no/such/program'"),
        ("exec:nosuchprogram -x", (), "'nosuchprogram' on the PATH; .*such as exec:./nosuchprogram$"),
        (f"exec:{PLUGINS}/good.py", (), "is not executable"),
        (f"{PLUGINS}/good.py:Needle", (), r"'text' \(str\) is required"),
        (f"{PLUGINS}/good.py:Needle", ("p.text=x", "p.size=many"), "'size' must be int, not 'many'"),
        (f"{PLUGINS}/good.py:Count", ("p.x=1",), "'x' is set, but the plugin takes no configuration"),
    ],
)
def test_an_unusable_plugin_stops_the_start(run, use, settings, sentence):
    with pytest.raises(PlanError, match=sentence) as error:
        run(b"x", [f"p={use}"], settings=settings)
    assert "'p'" in str(error.value)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("import nosuchlibrary", "cannot be imported: ModuleNotFoundError"),
        ("def broken(:", "cannot be imported: SyntaxError"),
        ("raise RuntimeError('at import')", "cannot be imported: RuntimeError: at import"),
        ("import os; os._exit(0)", "cannot be imported: it exited with status 0"),
        ("class P: pass", "is not a plugin: a plugin is a class that derives from"),
        ("from douane_plugin import Inspector\nclass P(Inspector):\n reads = 'all'", "reads = 'all' is not one of"),
        (
            "from douane_plugin import Inspector\nclass P(Inspector):\n"
            " def __init__(self, a: str = ''): raise ValueError('a must not be empty')",
            "its configuration is refused: a must not be empty",
        ),
    ],
)
def test_a_plugin_that_cannot_be_imported_stops_the_start(run, tmp_path, source, sentence):
    (tmp_path / "p.py").write_text(source)
    with pytest.raises(PlanError, match=sentence):
        run(b"x", [f"{tmp_path}/p.py:P"])


def test_a_plugin_may_have_an_interpreter_and_libraries_of_its_own(run, tmp_path):
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    [libraries] = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (libraries / "its_own.py").write_text("answer = 42\n")
    sdk = Path(douane_plugin.__file__).parent
    shutil.copytree(sdk, libraries / "douane_plugin")
    (tmp_path / "p.py").write_text(
        "import sys\nfrom douane_plugin import Inspector\nimport its_own\n"
        "class P(Inspector):\n"
        "    def inspect(self, image): return {'answer': its_own.answer, 'prefix': sys.path[-1]}\n"
    )
    plugin = f'[[plugin]]\nname = "p"\nuse = "{tmp_path}/p.py:P"\n'
    with pytest.raises(PlanError, match=r"'p'.*No module named 'its_own'"):
        run(b"x", toml=plugin)
    report = run(b"x", toml=plugin + f'python = "{tmp_path}/venv/bin/python"')
    assert report.outcome == "accepted", report
    assert by_name(report)["p"].properties == {"p.answer": 42, "p.prefix": str(libraries)}


def test_an_interpreter_without_the_contract_is_an_error_with_a_remedy(run, tmp_path):
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    toml = good("Count") + f'\npython = "{tmp_path}/venv/bin/python"'
    with pytest.raises(PlanError, match=r"'count'.*douane.plugin"):
        run(b"x", toml=toml)


def test_the_report_says_what_was_run(run, tier):
    code = by_name(run(b"x", toml=good("Count")))["count"].ran
    assert code.code_sha256 == hashlib.sha256((PLUGINS / "good.py").read_bytes()).hexdigest()
    assert (code.kind, code.reads, code.api, code.sandbox) == (
        "inspector",
        "stream",
        1,
        tier.value,
    )


def test_an_image_that_changes_while_it_is_read_is_undecided(run, tmp_path):
    path = tmp_path / "image"
    path.write_bytes(os.urandom(8 * MIB))
    (tmp_path / "slow.py").write_text(
        "from douane_plugin import Inspector\n"
        "class Slow(Inspector):\n"
        "    def inspect(self, image):\n"
        "        next(image)\n"
        "        self.log.info('go')\n"
        "        self.grant('gate').recv(1)\n"
    )
    for change, code in ((lambda: os.truncate(path, 5), "truncated"), (append(path), "changed-while-read")):
        ours, server = gate(tmp_path)

        def on_log(change=change, ours=ours):
            peer, _ = ours.accept()
            change()
            peer.sendall(b"x")
            peer.close()

        thread = threading.Thread(target=on_log)
        thread.start()
        toml = f'[[plugin]]\nname = "slow"\nuse = "{tmp_path}/slow.py:Slow"\ngrants = {{ gate = "unix:{server}" }}'
        report = run(str(path), toml=toml)
        thread.join()
        ours.close()
        os.unlink(server)
        assert (report.outcome, report.code) == ("undecided", code), report
        path.write_bytes(os.urandom(8 * MIB))


def append(path):
    def change():
        with path.open("ab") as file:
            file.write(b"more")

    return change


def gate(tmp_path):
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "gate"))
    server.listen()
    return server, str(tmp_path / "gate")
