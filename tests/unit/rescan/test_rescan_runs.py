"""What a run over stored bytes says of them, when a refusal has ended it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from douane.declared import DeclaredImage
from douane.engine import RunOptions, load_plan, open_source
from douane.errors import StoreError
from douane.plan.model import PluginSpec
from douane.report import Bytes, Outcome, Report, Verdict
from douane.rescan import Entry, runs
from douane.rescan.fingerprints import Fingerprint, Inspector

IMAGE = b"x" * 100
SHA256 = hashlib.sha256(IMAGE).hexdigest()
REFUSED = Verdict(plugin="limits", outcome="refused", code="too-large")


def report(outcome: Outcome, *verdicts: Verdict, sha256: str | None) -> Report:
    received, stored = Bytes(size=len(IMAGE), complete=True, sha256=sha256), Bytes(size=0, complete=False)
    return Report(
        outcome=outcome, verdicts=list(verdicts), received=received, stored=stored, sandbox="full", seconds=0.0
    )


def read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *reports: Report) -> runs.Read:
    """Read an image whose runs end with these reports."""
    ends = list(reports)
    monkeypatch.setattr(runs, "inspect_image", lambda *_args, **_named: ends.pop(0))
    (tmp_path / "stored").write_bytes(IMAGE)
    declared = DeclaredImage(disk_format="raw")
    entry = Entry(image="i", name=None, size=100, content="", digests={"sha256": SHA256}, declared=declared)
    fingerprint = Fingerprint(code="", config="", grants="")
    inspectors = [
        Inspector(spec=PluginSpec(name="limits", use="limits"), reads="head:1", fingerprint=fingerprint),
        Inspector(spec=PluginSpec(name="words", use="words"), reads="stream", fingerprint=fingerprint),
    ]
    result = runs.read_image(
        load_plan(None), inspectors, entry, lambda: open_source(str(tmp_path / "stored")), RunOptions()
    )
    assert not ends
    return result


def test_bytes_whose_digest_a_refusal_has_stopped_are_read_for_it_and_do_not_differ(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    accepted = Verdict(plugin="words", outcome="accepted")
    refusal = report("refused", REFUSED, accepted, sha256=None)
    result = read(monkeypatch, tmp_path, refusal, report("accepted", sha256=SHA256))
    assert (result.failure, result.verdicts, result.lasting) == (None, [REFUSED, accepted], {"limits"})
    assert result.bytes_read == 200


def test_a_refusal_of_bytes_without_any_digest_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        read(monkeypatch, tmp_path, report("refused", REFUSED, sha256=None), report("accepted", sha256=None))


def test_damaged_bytes_refuse_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    damage = hashlib.sha256(b"damage").hexdigest()
    result = read(monkeypatch, tmp_path, report("refused", REFUSED, sha256=None), report("accepted", sha256=damage))
    assert result.failure is not None
    assert (result.failure.code, result.verdicts) == ("stored-bytes-differ", [])
