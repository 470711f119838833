"""What is recorded of a level stays as it is: a change of one byte is a decision, and stands among the decisions."""

from __future__ import annotations

import hashlib
import re
from importlib.metadata import version
from pathlib import Path

from support.contract.conversation import LEVEL1

DIGESTS = Path(__file__).with_name("level1-digests.txt")
FINAL = "\nlevel1: final\n"
"""The line of release 1.0, after which files may only be added."""

LINE = re.compile(r"^level1: (\S+) (?:sha256 ([0-9a-f]{12})|(removed))$", re.MULTILINE)


def files(folder: Path) -> dict[str, str]:
    """Every file of a level but its list: name to sha256."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "MANIFEST" and "__pycache__" not in path.parts
    }


def decided(text: str) -> dict[str, str]:
    """What the decisions say: name to the first digits of the newest line about it."""
    newest: dict[str, str] = {}
    for name, digits, removed in LINE.findall(text):
        newest.pop(name, None)
        if not removed:
            newest[name] = digits
    return newest


def late_changes(text: str) -> list[str]:
    """Names that a line says something else of after the level was declared final."""
    frozen, _, added = text.partition(FINAL)
    names = {name for name, _, _ in LINE.findall(frozen)}
    late: list[str] = []
    for name, _, removed in LINE.findall(added):
        if name in names or removed:
            late.append(name)
        names.add(name)
    return late


def complaints(folder: Path, decisions: str) -> list[str]:
    """Every file that is not as the list and the decisions have it."""
    present, decided_digests = files(folder), decided(decisions)
    listed = {line[66:]: line[:64] for line in (folder / "MANIFEST").read_text().splitlines()}
    changed = [name for name in sorted({*present, *listed}) if present.get(name) != listed.get(name)]
    sentences = [f"{name} is not as MANIFEST has it" for name in changed]
    for name in sorted({*present, *decided_digests}):
        digits = present.get(name, "")[:12]
        if digits != decided_digests.get(name, ""):
            line = f"level1: {name} sha256 {digits}" if digits else f"level1: {name} removed"
            sentences.append(
                f"{name}: tests/contract/level1-digests.txt has no line '{line}', with the reason beside it"
            )
    return sentences


def test_every_file_of_level_1_is_as_it_was_decided():
    assert not complaints(LEVEL1, DIGESTS.read_text())


def test_the_level_is_final_from_release_1_on():
    text = DIGESTS.read_text()
    assert (FINAL in text) == (int(version("douane").partition(".")[0]) >= 1)
    assert not late_changes(text)


def test_a_change_after_the_end_is_found():
    first = "level1: one sha256 0123456789ab\n"
    assert late_changes(f"{first}{first}") == []
    assert late_changes(f"{first}{FINAL}level1: two sha256 0123456789ab\n") == []
    assert late_changes(f"{first}{FINAL}{first}") == ["one"]
    assert late_changes(f"{first}{FINAL}level1: one removed\n") == ["one"]


def test_a_change_an_addition_and_a_removal_are_found(tmp_path):
    (tmp_path / "one").write_text("1")
    (tmp_path / "MANIFEST").write_text(f"{hashlib.sha256(b'1').hexdigest()}  one\n")
    line = f"level1: one sha256 {hashlib.sha256(b'1').hexdigest()[:12]}\n"
    assert complaints(tmp_path, line) == []
    assert len(complaints(tmp_path, "")) == 1
    (tmp_path / "one").write_text("2")
    assert len(complaints(tmp_path, line)) == 2
    changed = f"{line}level1: one sha256 {hashlib.sha256(b'2').hexdigest()[:12]}\n"
    assert complaints(tmp_path, changed) == ["one is not as MANIFEST has it"]
    (tmp_path / "one").write_text("1")
    (tmp_path / "two").write_text("2")
    assert len(complaints(tmp_path, line)) == 2
    (tmp_path / "two").unlink()
    (tmp_path / "one").unlink()
    assert len(complaints(tmp_path, line)) == 2
    (tmp_path / "MANIFEST").write_text("")
    assert complaints(tmp_path, f"{line}level1: one removed\n") == []
