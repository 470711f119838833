"""The programs: a shell script, and a program in C that is compiled here."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from example_plugins import MIB, PLUGINS, TIERS, Check, cut
from hypothesis import given, settings
from hypothesis import strategies as st

PAGE = '[[plugin]]\nname = "page"\nuse = "exec:plugins/no_web_page.sh"\nrefuse = [10]\n'
PATTERN = "deadbeef"


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """forbidden_bytes, made as its first lines say; a warning of the compiler is an error."""
    path = tmp_path_factory.mktemp("c") / "forbidden_bytes"
    source = PLUGINS / "forbidden_bytes.c"
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o", path, source], check=True)
    return path


# no_web_page.sh


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize(
    ("image", "refused"),
    [
        (b"<!DOCTYPE html>\n<html>", True),
        (b"\xef\xbb\xbf \r\n\t<!doctype\thtml>", True),
        (b"\n<HTML lang=en>", True),
        (b"\0" * 512 + b"<html>", False),
        (b"QFI\xfb\0\0\0\3" + bytes(2 * MIB), False),
        (bytes(range(256)) * 8000, False),
        (b"<htm", False),
        (b"'; exit 1; *)", False),
        (b"", False),
    ],
)
def test_a_web_page_is_refused(check: Check, tier: str, image: bytes, refused: bool) -> None:
    run = check(image, PAGE, tier=tier)
    assert run.answer == (("refused", "refused") if refused else ("accepted", None)), run.stderr
    if refused:
        assert run.report["message"].startswith("this is a web page")


@pytest.mark.parametrize("missing", ["head", "tr"])
def test_a_command_that_cannot_run_is_a_failure(tmp_path: Path, missing: str) -> None:
    (tmp_path / missing).write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / missing).chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ended = subprocess.run([PLUGINS / "no_web_page.sh"], input=b"an image", env=env, check=False, capture_output=True)
    assert ended.returncode == 2


# forbidden_bytes.c


@pytest.mark.parametrize("tier", TIERS)
def test_bytes_are_found_across_the_borders_of_reads(check: Check, compiled: Path, tier: str) -> None:
    plan = f'[[plugin]]\nname = "bytes"\nuse = "exec:{compiled} {PATTERN}"\nrefuse = [10]\n'
    noise = b"\xde\xad\xbe" * MIB
    assert check(noise, plan, tier=tier).answer == ("accepted", None)
    place = MIB - 2
    run = check(noise[:place] + bytes.fromhex(PATTERN) + noise[place:], plan, tier=tier)
    assert run.answer == ("refused", "refused")
    assert "ask the operator" in run.report["message"]


@pytest.mark.parametrize("words", ["", "abc", "xy", "dead beef", "00" * 4097])
def test_a_wrong_argument_is_a_failure(check: Check, compiled: Path, words: str) -> None:
    run = check(b"image", f'[[plugin]]\nname = "bytes"\nuse = "exec:{compiled} {words}"\nrefuse = [10]\n')
    assert (run.code, run.report["code"]) == (3, "plugin-died")


def run_on(compiled: Path, pattern: bytes, pieces: list[bytes]) -> int:
    """Its exit status on an image that comes in these pieces: each is written when the one before has been read."""
    read, write = os.pipe()
    with subprocess.Popen([compiled, pattern.hex()], stdin=read, stderr=subprocess.DEVNULL) as program:
        os.close(read)
        try:
            for piece in pieces:
                os.write(write, piece)
        except BrokenPipeError:
            pass
        os.close(write)
        return program.wait(60)


@settings(deadline=None, max_examples=60)
@given(
    pattern=st.text("ab", min_size=3, max_size=8),
    lengths=st.lists(st.integers(0, 8), max_size=20),
    cuts=st.lists(st.integers(0, 160), max_size=20),
)
def test_the_program_finds_the_same_as_a_plain_search(
    compiled: Path, pattern: str, lengths: list[int], cuts: list[int]
) -> None:
    """Beginnings of it, one after the other: what is skipped by a search that does not go back right."""
    image = "".join(pattern[:length] for length in lengths)
    is_match = run_on(compiled, pattern.encode(), cut(image.encode(), cuts))
    assert is_match == (10 if pattern in image else 0)


@pytest.mark.parametrize(("pattern", "image"), [("aab", "aaab"), ("abab", "aababab"), ("aabaaa", "aabaabaaa")])
def test_overlapping_prefixes_are_found(compiled: Path, pattern: str, image: str) -> None:
    assert run_on(compiled, pattern.encode(), [image.encode()]) == 10


def test_an_error_of_reading_is_a_failure(compiled: Path, tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        assert subprocess.run([compiled, PATTERN], stdin=folder, check=False, capture_output=True).returncode == 2
    finally:
        os.close(folder)
