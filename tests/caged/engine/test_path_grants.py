"""Granted files and folders have a path: their own, read-only, the same in every tier."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from douane import own_folders
from douane.engine import PlanError, RunOptions, WarmRun, load_plan
from douane.host import sandboxed_process
from support.plans import plugin

PLUGINS = Path(__file__).parent / "plugins" / "paths.py"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "text").write_text("some text")
    (folder / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "outside").write_text("outside")
    return folder


def plan(name: str, **grants: str) -> str:
    return plugin(f"{PLUGINS}:{name}", "p", grants=grants)


def program(command: str, **grants: str) -> str:
    return plugin(f"exec:{command}", "p", refuse=[10], grants=grants)


def test_a_plugin_finds_its_grants_at_their_own_paths(run, folder, nothing_left):
    report = run(b"x", toml=plan("Looks", data=f"dir:{folder}", file=f"file:{folder}/text"))
    assert report.outcome == "accepted", report.verdicts[0].detail
    assert report.properties == {
        "p.folder": str(folder),
        "p.names": "link text",
        "p.text": "some text",
        "p.file": f"{folder}/text",
        "p.name": f"{folder}/text",
        "p.same": True,
    }


def test_relative_paths_begin_beside_the_plan(run, folder):
    report = run(b"x", toml=plan("Looks", data="dir:a folder", file="file:./a folder/../a folder/text"))
    assert (report.properties["p.folder"], report.properties["p.file"]) == (str(folder), f"{folder}/text")


def test_the_report_says_what_was_granted(run, folder):
    toml = plan("Looks", data=f"dir:{folder}", file=f"file:{folder}/text")

    def granted():
        ran = run(b"x", toml=toml).verdicts[0].ran
        return ran.grants["data"], ran.grants["file"]

    os.utime(folder / "text", (1_700_000_000, 1_700_000_000))
    data, file = granted()
    assert (file.kind, file.bytes, file.sha256) == ("file", 9, hashlib.sha256(b"some text").hexdigest())
    assert file.modified == "2023-11-14T22:13:20.000000+00:00"
    assert (data.kind, data.files, data.bytes) == ("dir", 2, 9)
    assert (data.path, file.path) == (str(folder), f"{folder}/text")
    assert granted() == (data, file)
    (folder / "text").write_text("same size")
    newer, newer_file = granted()
    assert newer_file.sha256 == hashlib.sha256(b"same size").hexdigest()
    assert (newer.sha256 != data.sha256, newer.bytes, newer.modified > data.modified) == (True, 9, True)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("/bin/sh -c 'cat \"$0\" >&2; exit 10' {grant:file}", "some text"),
        ("/bin/sh -c 'cat \"$0/text\" >&2; exit 10' {grant:data}", "some text"),
        ("/bin/sh -c 'echo \"$0\" >&2; exit 10' --file={grant:file}", "--file={folder}/text"),
        ("/bin/sh -c 'echo \"$0\" >&2; exit 10' '{grant} {} {other:file}'", "{grant} {} {other:file}"),
    ],
)
def test_a_program_gets_the_paths_in_its_arguments(run, folder, command, message):
    report = run(b"x", toml=program(command, data=f"dir:{folder}", file=f"file:{folder}/text"))
    assert report.message == message.replace("{folder}", str(folder)), report.verdicts[0].detail
    assert set(report.verdicts[0].ran.grants) == {"data", "file"}


def test_a_program_finds_a_granted_file_at_its_own_path(run, folder):
    command = f"/bin/sh -c 'cat \"{folder}/text\" >&2; exit 10'"
    assert run(b"x", toml=program(command, file=f"file:{folder}/text")).message == "some text"
    report = run(b"x", toml=program(command, other="file:outside"))
    assert report.outcome == "undecided" or report.message != "some text"


def test_the_error_of_a_link_that_leads_out_says_so(run, folder):
    report = run(b"x", toml=plan("FollowsLink", data=f"dir:{folder}"))
    assert report.outcome == "undecided"
    detail = report.verdicts[0].detail or ""
    assert "outside" not in report.properties
    if report.sandbox == "strict":
        assert "target of a link that leaves a granted folder" in detail
    else:
        assert "No such file or directory" in detail


def test_a_file_of_the_system_has_content_and_no_path(run):
    report = run(b"x", toml=plan("OnlyContent", file="file:/etc/passwd"))
    assert report.outcome == "accepted", report.verdicts[0].detail
    assert report.properties["p.content"] == Path("/etc/passwd").read_text().replace("\n", " ")
    assert report.properties["p.path"] == "the granted file 'file' has no path here; read the file object itself"
    assert report.properties["p.name"] == "file"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("dir:missing", "cannot be opened: No such file or directory"),
        ("dir:a folder/text", "is a file and no folder; write file:"),
        ("file:a folder", "is not a regular file; write dir:"),
        ("file:/dev/null", "is not a regular file"),
        ("dir:/", "it is the whole host"),
        ("dir:/proc", "processes and devices"),
        ("dir:/proc/self", "processes and devices"),
        ("dir:/sys/kernel", "processes and devices"),
        ("dir:/dev/shm", "processes and devices"),
        ("dir:/etc", "it holds /etc/passwd"),
        ("dir:/tmp", "it holds the temporary files of all plugins"),
        ("dir:/var", "it holds the temporary files of all plugins"),
        ("dir:store", "Douane's own data are in"),
        ("dir:store/images", "Douane's own data are in"),
        ("dir:.", "Douane's own data are in"),
        ("dir:way-in", "Douane's own data are in"),
        ("dir:pipes", "pipe is a special file"),
        ("folder:x", "is written file:PATH, dir:PATH, unix:PATH or tcp:HOST:PORT"),
    ],
)
def test_what_cannot_be_granted_is_a_configuration_error(run, folder, tmp_path, monkeypatch, target, reason):
    monkeypatch.setattr(own_folders, "_registered", set())
    (tmp_path / "store" / "images").mkdir(parents=True)
    (tmp_path / "way-in").symlink_to("store")
    own_folders.register(tmp_path / "store")
    (tmp_path / "pipes" / "deep").mkdir(parents=True)
    os.mkfifo(tmp_path / "pipes" / "deep" / "pipe")
    with pytest.raises(PlanError, match="grant 'data'") as raised:
        run(b"x", toml=plan("Looks", data=target))
    assert reason in str(raised.value)


def test_a_folder_with_too_many_files_cannot_be_granted(run, folder, monkeypatch):
    monkeypatch.setattr("douane.plan.path_grants.MAX_FILES", 1)
    with pytest.raises(PlanError, match="has more than 1 files"):
        run(b"x", toml=plan("Looks", data=f"dir:{folder}"))


@pytest.mark.parametrize(
    ("command", "grants", "reason"),
    [
        ("/bin/cat {grant:keys}", {}, r"\{grant:keys\} names a grant that is not there; granted: nothing"),
        ("/bin/cat {grant:a}", {"b": "file:plan.toml"}, "granted: b"),
        ("/bin/cat {grant:a}", {"a": "file:/proc/version"}, "/proc/version has no path in the sandbox"),
        ("/bin/cat", {"a": "tcp:localhost:1"}, "can be granted files and folders"),
    ],
)
def test_a_program_cannot_name_what_it_has_not(run, command, grants, reason):
    with pytest.raises(PlanError, match=reason):
        run(b"x", toml=program(command, **grants))


def test_a_file_that_is_replaced_while_the_plugin_starts_is_the_new_one(run, folder, monkeypatch):
    start, replacements = sandboxed_process.sandbox.start, []

    def replacing(*arguments, **keywords):
        if not replacements:
            (folder / "new").write_text("newer text")
            os.rename(folder / "new", folder / "text")
            replacements.append("text")
        return start(*arguments, **keywords)

    monkeypatch.setattr(sandboxed_process.sandbox, "start", replacing)
    report = run(b"x", toml=plan("Looks", data=f"dir:{folder}", file=f"file:{folder}/text"))
    assert report.outcome == "accepted", report
    assert (report.properties["p.text"], report.properties["p.same"]) == ("newer text", True)
    assert report.verdicts[0].ran.grants["file"].sha256 == hashlib.sha256(b"newer text").hexdigest()


def test_a_file_that_vanishes_while_the_plugin_starts_is_a_configuration_error(run, folder, monkeypatch):
    start = sandboxed_process.sandbox.start

    def removing(*arguments, **keywords):
        (folder / "text").unlink(missing_ok=True)
        return start(*arguments, **keywords)

    monkeypatch.setattr(sandboxed_process.sandbox, "start", removing)
    with pytest.raises(PlanError, match="cannot be opened: No such file or directory"):
        run(b"x", toml=plan("Looks", data=f"dir:{folder}", file=f"file:{folder}/text"))


def test_waiting_plugins_are_started_again_when_a_granted_file_is_replaced(tier, folder, tmp_path):
    (tmp_path / "plan.toml").write_text(plan("Looks", data=f"dir:{folder}", file=f"file:{folder}/text"))
    warm = WarmRun(load_plan(str(tmp_path / "plan.toml")), RunOptions(tier=tier))
    try:
        assert warm.is_usable()
        (folder / "new").write_text("newer text")
        assert warm.is_usable()
        os.rename(folder / "new", folder / "text")
        assert not warm.is_usable()
    finally:
        warm.close()
