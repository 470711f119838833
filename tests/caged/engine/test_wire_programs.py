"""A runtime in another language: a program in C, written from docs/wire.md, and what its process gets."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from douane.engine import PlanError
from douane.engine.describe import describe
from douane.plan.model import PluginSpec
from douane_plugin import wire
from support.wire_programs import (
    ACCEPT,
    LISTEN,
    begin,
    binary,
    compiled,
    described,
    frame,
    plan,
    scanner,
    speaker,
    wired,
)

MIB = 1 << 20
pytestmark = pytest.mark.usefixtures("wire_c")

NEEDLE = b"\xde\xad\xbe\xef\0\0needle"


# the inspector in C


def test_an_image_longer_than_the_ring(run, nothing_left):
    noise = os.urandom(MIB + 7) * 50
    report = run(noise, toml=scanner(NEEDLE))
    assert report.outcome == "accepted"
    assert wired(report).properties == {"wired.searched": len(noise), "wired.zeros": 0}
    assert wired(report).ran.kind == "inspector"
    assert wired(report).ran.code_sha256 == hashlib.sha256(Path(compiled("scan")).read_bytes()).hexdigest()


@pytest.mark.parametrize("place", [0, MIB - 3, 37 * MIB - 8, 50 * MIB - len(NEEDLE)])
def test_a_pattern_is_found_at_any_offset(run, nothing_left, place):
    noise = os.urandom(MIB) * 50
    image = noise[:place] + NEEDLE + noise[place + len(NEEDLE) :]
    report = run(image, toml=scanner(NEEDLE))
    assert (report.outcome, report.code) == ("refused", "pattern-found")
    assert report.message == "the image holds bytes that this site does not allow"
    assert place < wired(report).bytes_seen <= len(image)


@pytest.fixture
def sparse(tmp_path):
    """``sparse(length, {offset: bytes})``: a file with holes."""

    def make(length: int, written: dict[int, bytes]) -> str:
        path = tmp_path / "sparse"
        with open(path, "wb") as file:
            file.truncate(length)
            for at, data in written.items():
                os.pwrite(file.fileno(), data, at)
        return str(path)

    return make


def test_holes_are_not_scanned(run, sparse):
    length = 1 << 40
    report = run(sparse(length, {5 * MIB: b"x" * MIB}), toml="[import]\ndigests = []\n" + scanner(NEEDLE))
    assert report.outcome == "accepted"
    assert wired(report).properties == {"wired.searched": length, "wired.zeros": length - MIB}


@pytest.mark.parametrize(
    ("pattern", "matches"), [(b"end\0\0\0", True), (b"\0\0\0begin", True), (b"d" + bytes(4096 - 2) + b"b", False)]
)
def test_a_pattern_that_reaches_into_a_hole_is_found(run, sparse, pattern, matches):
    image = sparse(64 * MIB, {8 * MIB - 3: b"end", 16 * MIB: b"begin"})
    assert run(image, toml=scanner(pattern)).outcome == ("refused" if matches else "accepted")


def test_it_reads_the_output_of_a_transform(run):
    import gzip

    toml = '[[plugin]]\nname = "unpack"\nuse = "decompress"\n' + scanner(NEEDLE)
    data = os.urandom(MIB) + NEEDLE
    assert run(gzip.compress(data), toml=toml).code == "pattern-found"
    assert run(gzip.compress(data[:-1]), toml=toml).outcome == "accepted"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("", "'pattern' (hexadecimal digits) is required and not set"),
        ('config = { pattern = "xy" }', "'pattern' must be 1 to 4096 bytes as hexadecimal digits"),
        ("config = { pattern = 5 }", "'pattern' must be a string of hexadecimal digits"),
        ('config = { pattern = "00", more = 1 }', "there is a key that is not a setting of the plugin"),
    ],
)
def test_a_wrong_configuration_stops_the_start(run, config, message):
    with pytest.raises(PlanError, match="wired") as raised:
        run(b"image", toml=plan(f"wire:{compiled('scan')}", config))
    assert message in str(raised.value)


def test_a_setting_of_the_command_line_wins(run):
    report = run(b"image", toml=scanner(b"image"), settings=["wired.pattern=ffff"])
    assert report.outcome == "accepted"


@pytest.mark.parametrize("tier", ["strict", "full"])
@pytest.mark.parametrize(("image", "status"), [(bytes(1000), 0), (bytes(30 * MIB) + NEEDLE, 1)])
def test_douane_check(tmp_path, tier, image, status):
    (tmp_path / "image").write_bytes(image)
    words = ["check", tmp_path / "image", "--plugin", f"wired=wire:{compiled('scan')}", "--sandbox", tier, "--json"]
    completed = subprocess.run(
        [Path(sys.executable).parent / "douane", *words, "--set", f"wired.pattern={NEEDLE.hex()}"],
        env={**os.environ, "DOUANE_HOME": str(tmp_path / "home")},
        capture_output=True,
        check=False,
    )
    assert completed.returncode == status, completed.stderr
    assert json.loads(completed.stdout)["sandbox"] == tier


# what the process gets


def received(log):
    return [bytes.fromhex(text) for name, _, text in log if name == "wired" and re.fullmatch("([0-9a-f]{2})+", text)]


def loads(log):
    return [json.loads(data[8:]) for data in received(log) if data[:4] == bytes([wire.LOAD, 0, 0, 0])]


def test_the_process_has_what_the_wire_promises_and_no_more(run, tmp_path):
    (tmp_path / "rules").write_bytes(b"rules")
    grants = f'grants = {{ rules = "file:{tmp_path}/rules" }}'
    log = []
    frames = [LISTEN, "look", described(), frame(wire.READY), LISTEN, ACCEPT]
    report = run(
        b"image", toml=plan(speaker(*frames), grants, 'scratch = "1MiB"', 'config = { a = [1, "b"] }'), log=log
    )
    assert report.outcome == "accepted"
    (load,) = loads(log)
    lines = [text for _, _, text in log]
    environment = dict(line[4:].split("=", 1) for line in lines if line.startswith("env "))
    same = {"HOME", "LANG", "LOGNAME", "OMP_NUM_THREADS", "PATH", "TMPDIR", "TZ", "USER"}
    assert environment.keys() <= {"DOUANE_CHANNEL", *same, "LC_CTYPE", "PWD"}
    (opened,) = [{int(fd) for fd in line.split()[1:]} for line in lines if line.startswith("open ")]
    opened -= set(range(1018, 1024))  # they hold files of /proc/self (O_PATH)
    named = {load["rings"][0]["fd"], load["grants"]["rules"]["fd"], *load["scratch"]["fds"]}
    assert opened == {0, 1, 2, int(environment["DOUANE_CHANNEL"]), *named}
    assert len(opened) == 8
    assert load["config"] == {"a": [1, "b"]}
    assert load["scratch"]["bytes"] == MIB
    assert "in /" in lines
    assert "closed" in lines


def test_a_transform_is_restarted_with_an_output_pipe(run):
    frames = [*begin(kind="transform"), frame(wire.UNCHANGED), LISTEN, frame(wire.ACCEPT, {"properties": {"done": 1}})]
    log = []
    report = run(b"image", toml=plan(speaker(*frames)), log=log)
    assert (report.outcome, report.stored.size) == ("accepted", 5)
    assert wired(report).properties == {"wired.done": 1}
    first, second = loads(log)
    assert first["output_fd"] is None
    assert isinstance(second["output_fd"], int)


def test_a_plugin_that_reads_at_random_gets_a_file(run):
    log = []
    report = run(b"image", toml=plan(speaker(*begin(reads="random"), ACCEPT)), log=log)
    assert report.outcome == "accepted"
    assert isinstance(loads(log)[-1]["image_fd"], int)


def test_unknown_keys_are_ignored(run):
    frames = [
        LISTEN,
        described(later={"nested": [None]}, parameters=[{"name": "a", "type": "b", "required": True, "unit": "s"}]),
        frame(wire.READY),
        LISTEN,
        frame(wire.WARN, {"code": "c", "message": "m", "later": 1}),
        frame(wire.ACCEPT, {"properties": {"a": 1}, "later": [1]}),
    ]
    report = run(b"image", toml=plan(speaker(*frames)))
    assert report.outcome == "accepted"
    assert wired(report).properties == {"wired.a": 1}


@pytest.mark.parametrize(
    ("reads", "image", "data"),
    [
        ("stream", b"image", [binary(wire.DATA, 0, 0, 5), binary(wire.END, 5, 0)]),
        ("head:3", b"image", [binary(wire.DATA, 0, 0, 3), binary(wire.END, 3, 1)]),
        ("head:9", b"image", [binary(wire.DATA, 0, 0, 5), binary(wire.END, 5, 0)]),
        ("nothing", b"image", [binary(wire.END, 0, 1)]),
        ("nothing", b"", [binary(wire.END, 0, 0)]),
        ("stream", b"", [binary(wire.END, 0, 0)]),
    ],
)
def test_the_frames_follow_from_reads(run, reads, image, data):
    log = []
    report = run(image, toml=plan(speaker(*begin(reads=reads), *[LISTEN for _ in data], ACCEPT)), log=log)
    assert report.outcome == "accepted"
    assert received(log)[2:] == data


def test_findings_of_others_come_with_the_image(run):
    toml = '[[plugin]]\nname = "format"\nuse = "format"\n' + plan(speaker(*begin(reads="findings"), ACCEPT))
    log = []
    assert run(b"image", toml=toml, log=log).outcome == "accepted"
    assert json.loads(received(log)[1][8:])["findings"]["format.disk_format"] == "raw"


def test_describe(tier):
    description = describe(PluginSpec(name="wired", use=f"wire:{compiled('scan')}"), tier=tier)
    assert (description.kind, description.reads, description.api, description.cls) == ("inspector", "stream", 1, "scan")
    assert description.doc == "Refuses images that hold certain bytes."
    assert description.parameters[0]["name"] == "pattern"
