"""The inspectors `yara` and `yara-stream`, with the real YARA-X."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yara_x
from hypothesis import given
from hypothesis import strategies as st

from douane.plugins import yara
from douane.plugins._judgement import MAX_SHOWN, Judgement, shown_place
from douane.plugins.yara import Yara, YaraStream, windows
from douane.plugins.yara.rules import compile_rules
from douane_plugin import Image, Incomplete, Inspector, Reject
from douane_plugin.testing import WrongConfiguration, run

RULES = """
rule planted { meta: description = "a planted text" strings: $a = "PLANTED" condition: $a }
rule warned { meta: severity = "warn" strings: $a = "WARNED" condition: $a }
rule noted { meta: severity = "note" strings: $a = "NOTED" condition: $a and filename == "noted.txt" }
"""


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """ext4 images with one file each, by its content."""
    folder = tmp_path_factory.mktemp("yara")
    images = {}
    contents = {"clean": b"text", "PLANTED": b"xPLANTEDx", "WARNED": b"WARNED", "NOTED": b"NOTED", "late": b""}
    for name, content in contents.items():
        tree = folder / name / "etc"
        tree.mkdir(parents=True)
        path = tree / ("noted.txt" if name == "NOTED" else "file")
        path.write_bytes(content)
        if name == "late":  # behind a hole, over the border of two windows
            with path.open("r+b") as file:
                file.seek((4 << 20) - 3)
                file.write(b"PLANTED")
        images[name] = folder / f"{name}.img"
        subprocess.run(["mkfs.ext4", "-q", "-d", tree.parent, images[name], "16M"], check=True)
    yield images


@pytest.mark.parametrize("tier", ["full", "strict"])
def test_a_file_that_matches_is_refused_with_its_path(disks: dict[str, Path], tier: str) -> None:
    result = run(Yara, disks["PLANTED"], grants={"rules": RULES}, sandbox=tier)
    assert (result.outcome, result.code) == ("refused", "yara-match")
    assert result.message == "disk:/etc/file: matches the rule planted: a planted text"
    assert result.documents["yara"]["matches"][0]["rule"] == "planted"


def test_a_clean_image_is_accepted_with_the_digest_of_the_rules(disks: dict[str, Path]) -> None:
    result = run(Yara, disks["clean"], grants={"rules": RULES})
    assert result.outcome == "accepted", result
    assert (result.properties["files"], result.properties["warnings"]) == (1, 0)
    other = run(Yara, disks["clean"], grants={"rules": RULES + "\n"})
    assert result.properties["rules_sha256"] != other.properties["rules_sha256"]


@pytest.mark.parametrize(("name", "warnings", "notes"), [("WARNED", 1, 0), ("NOTED", 0, 1)])
def test_the_metadata_of_a_rule_says_what_a_match_means(
    disks: dict[str, Path], name: str, warnings: int, notes: int
) -> None:
    result = run(Yara, disks[name], grants={"rules": RULES})
    assert result.outcome == "accepted", result
    assert (result.properties["warnings"], result.properties["notes"]) == (warnings, notes)
    assert len(result.warnings) == warnings


def test_a_text_over_the_border_of_two_windows_matches(disks: dict[str, Path]) -> None:
    assert run(Yara, disks["late"], grants={"rules": RULES}, config={"window": "4MiB"}).code == "yara-match"


def test_the_bytes_of_the_image_match(disks: dict[str, Path]) -> None:
    assert run(YaraStream, disks["PLANTED"], grants={"rules": RULES}).code == "yara-match"
    assert run(YaraStream, disks["clean"], grants={"rules": RULES}).outcome == "accepted"


def test_a_scan_that_takes_too_long_was_none(disks: dict[str, Path]) -> None:
    slow = """rule slow { condition: for all i in (0..100000000) : (for all j in (0..100000000) : (i + j != -1)) }"""
    result = run(Yara, disks["clean"], grants={"rules": slow}, config={"file_timeout": 1})
    assert (result.outcome, result.code) == ("incomplete", "yara-timeout")


def test_an_image_that_cannot_be_read_is_incomplete(tmp_path: Path) -> None:
    image = tmp_path / "luks.img"
    image.write_bytes(b"LUKS\xba\xbe\x00\x01".ljust(1 << 20, b"\0"))
    assert run(Yara, image, grants={"rules": RULES}).outcome == "incomplete"


def test_folders_and_compiled_rules(tmp_path: Path, disks: dict[str, Path]) -> None:
    (tmp_path / "rules" / "below").mkdir(parents=True)
    (tmp_path / "rules" / "below" / "a.yar").write_text(RULES)
    (tmp_path / "rules" / "read.me").write_text("no rule")
    result = run(Yara, disks["PLANTED"], grants={"rules": tmp_path / "rules"})
    assert result.documents["yara"]["matches"][0]["namespace"] == "below/a"
    with (tmp_path / "compiled").open("wb") as file:
        yara_x.compile('rule planted { strings: $a = "PLANTED" condition: $a }').serialize_into(file)
    assert run(Yara, disks["PLANTED"], grants={"rules": tmp_path / "compiled"}).code == "yara-match"


def test_a_process_that_serves_several_images_compiles_the_same_rules_once() -> None:
    compiled = compile_rules(io.BytesIO(RULES.encode()))
    assert compile_rules(io.BytesIO(RULES.encode()), compiled) is compiled
    assert compile_rules(io.BytesIO(RULES.encode() + b"\n"), compiled).digest != compiled.digest


@pytest.mark.parametrize(
    ("rules", "config", "words"),
    [
        ("rule {", {}, "do not compile"),
        ("rule x { condition: gone }", {}, r"unknown identifier `gone` \(.*:1:21\)$"),
        (b"\xff\xfe", {}, "not UTF-8"),
        (b"YARA-X broken", {}, "compiled rules cannot be loaded"),
        (RULES, {"severity": "deny"}, "severity"),
        (RULES, {"window": "1MiB"}, "'window' is"),
        (RULES, {"file_timeout": 0}, "'file_timeout' is"),
        (None, {}, "grant the rules"),
    ],
)
def test_a_wrong_configuration_is_a_sentence(rules: str | bytes | None, config: dict[str, object], words: str) -> None:
    grants = {} if rules is None else {"rules": rules}
    with pytest.raises(WrongConfiguration, match=words):
        run(Yara, b"", grants=grants, config=config)


@given(
    st.lists(st.tuples(st.integers(0, 3_000), st.binary(min_size=1, max_size=900)), max_size=8),
    st.integers(1, 4_000),
)
def test_windows_have_every_byte_and_every_short_text(gaps: list[tuple[int, bytes]], size: int) -> None:
    overlap, yara.OVERLAP = yara.OVERLAP, 64
    try:
        pieces, offset = [], 0
        for gap, piece in gaps:
            offset += gap
            pieces.append((offset, memoryview(piece)))
            offset += len(piece)
        whole = bytearray(offset)
        for start, view in pieces:
            whole[start : start + len(view)] = view
        views = list(windows(pieces, size + 64))
        assert all(whole[start : start + len(window)] == window for start, window in views)
        for start, view in pieces:  # every text of 64 bytes that begins in a piece lies in a window, but for zeros
            for place in range(start, start + len(view)):
                text = bytes(whole[place : place + 64]).rstrip(b"\0")
                assert any(begin <= place and place + len(text) <= begin + len(window) for begin, window in views)
    finally:
        yara.OVERLAP = overlap


def test_what_came_before_the_damage_of_a_file_is_scanned() -> None:
    def pieces() -> Iterator[tuple[int, memoryview]]:
        yield 5, memoryview(b"bytes")
        raise Incomplete("guest-broken", "the rest is lost")

    found = windows(pieces(), 4 << 20)
    assert next(found) == (0, bytes(5) + b"bytes")
    with pytest.raises(Incomplete, match="the rest is lost"):
        next(found)


def test_a_folder_of_rules_that_cannot_be_listed_stops_the_plan(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Otherwise its rules would be missed, and nobody told."""
    (tmp_path / "closed").mkdir()
    (tmp_path / "a.yar").write_text(RULES)
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    with monkeypatch.context() as patch, pytest.raises(ValueError, match="closed: Permission denied"):
        patch.setattr(os, "scandir", refuse)
        compile_rules(tmp_path)


def test_a_judgement_is_bounded_and_keeps_the_worst() -> None:
    judgement = Judgement(Inspector(), "matches")
    for number in range(5000):
        judgement.match("warn", "w", f"/{number}", "is odd")
        judgement.match("refuse", "r", f"/{number}\n", "is bad")
    judgement.gap("g", "/x", "unread")
    with pytest.raises(Reject) as refused:
        judgement.answer({})
    assert refused.value.message.count("is bad") == MAX_SHOWN
    assert f"and {5000 - MAX_SHOWN} more" in refused.value.message
    assert "\n" not in refused.value.message


def test_the_document_of_a_judgement_fits_into_an_answer() -> None:
    class Attaching(Inspector):
        def inspect(self, image: Image) -> None:
            judgement = Judgement(self, "matches")
            for number in range(5000):
                judgement.match("note", "n", f"/{number}" + "\u202e" * 300, "is odd", more="\x01" * 300)
                judgement.gap("g", "\n" * 300 + str(number), "\u2028" * 300)
            judgement.answer({})

    result = run(Attaching)
    assert (result.outcome, result.code) == ("incomplete", "g")
    assert result.documents["matches"]["not_looked_at_count"] == 5000


def test_what_was_not_looked_at_is_no_accept() -> None:
    judgement = Judgement(Inspector(), "matches")
    judgement.match("warn", "w", "/a", "is odd")
    judgement.gap("too-large", "/b", "it has 3 GiB")
    judgement.gap("too-large", "/c", "it has 3 GiB")
    with pytest.raises(Incomplete, match="/b and 1 more part could not be looked at: it has 3 GiB"):
        judgement.answer({})


def test_odd_names_are_shown_on_one_line() -> None:
    assert shown_place("a\nb\u202ec" + os.fsdecode(b"\xff")) == "a\\nb\\u202ec\\udcff"
