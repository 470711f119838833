"""The journal of imports and uploads: entries of living processes are left alone, those of dead ones are found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from douane.glance.recovery import journal

BEGIN = """
import pathlib, sys
from douane.glance.recovery import journal
entry = journal.begin(pathlib.Path(sys.argv[1]), "another-task", {"image": "i", "task": "another-task", "stores": []})
print("begun", flush=True)
sys.stdin.read()
"""


def test_an_entry_is_abandoned_when_its_process_is_killed(tmp_path: Path) -> None:
    words = [sys.executable, "-c", BEGIN, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        assert list(journal.abandoned_entries(tmp_path)) == []
        process.kill()
        process.wait()
    (entry,) = journal.abandoned_entries(tmp_path)
    assert entry.facts["task"] == "another-task"
    assert list(journal.abandoned_entries(tmp_path)) == []  # it is locked
    entry.release()
    (entry,) = journal.abandoned_entries(tmp_path)
    entry.close()
    assert list(journal.abandoned_entries(tmp_path)) == []


def test_facts_can_be_added_to_an_entry(tmp_path: Path) -> None:
    entry = journal.begin(tmp_path, "t", {"image": "i"})
    entry.add({"attributes": {"disk_format": "qcow2"}})
    assert list(journal.abandoned_entries(tmp_path)) == []
    entry.release()
    (abandoned,) = journal.abandoned_entries(tmp_path)
    assert abandoned.facts == {"image": "i", "attributes": {"disk_format": "qcow2"}}
    abandoned.close()
    abandoned.close()


def test_files_that_are_no_entries_are_ignored(tmp_path: Path) -> None:
    assert list(journal.abandoned_entries(tmp_path)) == []
    folder = tmp_path / journal.FOLDER
    folder.mkdir()
    (folder / "empty").touch()
    (folder / "list").write_text("[]")
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "folder").mkdir()
    assert list(journal.abandoned_entries(tmp_path)) == []
