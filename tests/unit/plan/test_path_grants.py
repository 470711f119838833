"""Paths of grants in the arguments of programs, and what a folder must be to be granted."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane.errors import PlanError
from douane.plan import path_grants
from douane.plan.model import PluginSpec
from douane.plan.path_grants import filled_in, granted_path, open_path_grant, placeholders
from douane.report import GrantedContent

WORDS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=30)


def spec(base: object = "/srv", **grants: str) -> PluginSpec:
    return PluginSpec(name="p", use="u", grants=grants, base=str(base))


@given(before=WORDS, after=WORDS, path=WORDS)
def test_a_placeholder_becomes_the_path_and_nothing_else_changes(before: str, after: str, path: str) -> None:
    grants = spec(a=f"file:/files/{path.replace('/', '_')}x")
    expected = granted_path(grants, "a")
    words = tuple(word for word in (before, after) if not placeholders(word))
    assert filled_in(grants, words) == words
    if words == (before, after) and not placeholders(f"{before}{{grant:a}}{after}")[1:]:
        assert filled_in(grants, (f"{before}{{grant:a}}{after}",)) == (f"{before}{expected}{after}",)


def test_a_path_with_a_placeholder_in_it_is_not_filled_in_again() -> None:
    grants = spec(a="file:/x/{grant:b}", b="file:/y")
    assert filled_in(grants, ("{grant:a}", "{grant:b}")) == ("/x/{grant:b}", "/y")


@pytest.mark.parametrize("word", ["{grant:}", "{grant:missing}", "--x={grant:a }"])
def test_a_placeholder_without_its_grant_is_a_configuration_error(word: str) -> None:
    with pytest.raises(PlanError, match=re.escape("names a grant that is not there; granted: a")):
        filled_in(spec(a="file:/x"), (word,))


@pytest.mark.parametrize("target", ["unix:/run/x", "tcp:localhost:1", "file:/proc/version", "file:/etc/passwd"])
def test_what_has_no_path_cannot_be_in_an_argument(target: str) -> None:
    with pytest.raises(PlanError, match="has no path in the sandbox"):
        filled_in(spec(a=target), ("{grant:a}",))


def test_a_path_is_absolute_and_follows_what_is_before_two_dots(tmp_path: Path) -> None:
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / "link").symlink_to("deep/deeper")
    assert granted_path(spec(tmp_path, a="dir:deep/"), "a") == f"{tmp_path}/deep"
    assert granted_path(spec(tmp_path, a="file:./deep//file"), "a") == f"{tmp_path}/deep/file"
    assert granted_path(spec(tmp_path, a="file:link/file"), "a") == f"{tmp_path}/link/file"
    assert granted_path(spec(tmp_path, a="file:link/../file"), "a") == f"{tmp_path}/deep/file"
    assert granted_path(spec(tmp_path, a="dir:link/.."), "a") == f"{tmp_path}/deep"


def test_a_link_to_a_file_of_the_system_has_no_path(tmp_path: Path) -> None:
    (tmp_path / "accounts").symlink_to("/etc/passwd")
    (tmp_path / "version").symlink_to("/proc/version")
    assert granted_path(spec(tmp_path, a="file:accounts"), "a") is None
    assert granted_path(spec(tmp_path, a="file:version"), "a") is None


def content_of(target: str) -> GrantedContent:
    opened = open_path_grant(spec(a=target), "a")
    os.close(opened.fd)
    return opened.content


def test_the_digest_of_a_folder_covers_names_kinds_lengths_and_times(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    file = folder / "deep" / "file"
    digests: set[GrantedContent] = set()

    def note() -> None:
        digests.add(content_of(f"dir:{folder}"))

    note()
    file.write_text("a")
    os.utime(file, (1, 1))
    note()
    file.write_text("ab")
    os.utime(file, (1, 1))
    note()
    os.utime(file, (2, 2))
    note()
    file.rename(folder / "file")
    note()
    (folder / "file").unlink()
    (folder / "file").mkdir()
    note()
    assert len({content.sha256 for content in digests}) == 6


def test_a_long_file_has_no_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path_grants, "_MAX_DIGESTED", 3)
    (tmp_path / "short").write_text("abc")
    (tmp_path / "long").write_text("abcd")
    assert content_of(f"file:{tmp_path}/short").sha256 is not None
    assert content_of(f"file:{tmp_path}/long").sha256 is None


def test_special_files_are_refused_wherever_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as service:
        monkeypatch.chdir(tmp_path)  # the address of a socket has at most 107 bytes
        service.bind("folder/deep/service")
    with pytest.raises(PlanError, match="deep/service is a special file"):
        content_of(f"dir:{tmp_path}/folder")


def test_a_folder_is_not_searched_without_an_end(tmp_path: Path) -> None:
    deepest = tmp_path.joinpath("folder", *["deep"] * 66)
    deepest.mkdir(parents=True)
    with pytest.raises(PlanError, match="is more than 64 folders deep"):
        content_of(f"dir:{tmp_path}/folder")


def test_private_folders_are_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").write_text("x")

    def is_private() -> bool:
        opened = open_path_grant(spec(a=f"dir:{folder}"), "a")
        os.close(opened.fd)
        assert opened.granted is not None
        return opened.granted.is_private

    for path, mode in ((folder, 0o755), (folder / "deep", 0o755), (folder / "deep" / "file", 0o644)):
        path.chmod(mode)
    assert not is_private()
    for path, private, public in (
        (folder, 0o751, 0o755),
        (folder / "deep", 0o754, 0o755),
        (folder / "deep" / "file", 0o640, 0o644),
    ):
        path.chmod(private)
        assert is_private(), path
        path.chmod(public)
