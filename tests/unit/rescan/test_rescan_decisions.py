"""Which inspectors a rescan runs on an image, and what follows from the verdicts."""

from __future__ import annotations

from typing import Any

import pytest

from douane.declared import DeclaredImage
from douane.plan.model import PluginSpec
from douane.report import PluginOutcome, Provenance, Verdict
from douane.rescan.decisions import decide, judge_received, sort_out
from douane.rescan.fingerprints import Fingerprint, Inspector, fingerprint_of
from douane.rescan.places import Entry
from douane.rescan.state import Judged, Record

PRINT = Fingerprint(code="c", config="s", grants="g")
ENTRY = Entry(image="i", name="n", size=3, content="sha256:00", digests={}, declared=DeclaredImage(name="n"))
RAN = Provenance(use="x", sandbox="full")


def inspector(name: str, fingerprint: Fingerprint = PRINT, reads: str = "stream", **spec: Any) -> Inspector:
    return Inspector(
        spec=PluginSpec(name=name, use=spec.pop("use", name), **spec), reads=reads, fingerprint=fingerprint
    )


def verdict(plugin: str, outcome: PluginOutcome = "accepted") -> Verdict:
    return Verdict(plugin=plugin, outcome=outcome, code=None if outcome == "accepted" else "why", ran=RAN)


def judged(**outcomes: PluginOutcome) -> Judged:
    records = {name: Record(PRINT, verdict(name, outcome)) for name, outcome in outcomes.items()}
    return Judged(content=ENTRY.content, declared=ENTRY.declared_digest, records=records)


def test_what_has_not_changed_is_not_run() -> None:
    todo = sort_out([inspector("a"), inspector("b")], ENTRY, judged(a="accepted", b="refused"))
    assert (sorted(todo.records), todo.bytes, todo.documents) == (["a", "b"], [], [])


@pytest.mark.parametrize("field", ["code", "config", "grants", "view"])
def test_only_the_inspector_that_has_changed_reads_the_image(field: str) -> None:
    values = {"code": "c", "config": "s", "grants": "g", "view": ""} | {field: "another"}
    changed = inspector("b", Fingerprint(**values))
    todo = sort_out([inspector("a"), changed], ENTRY, judged(a="accepted", b="accepted"))
    assert (sorted(todo.records), todo.bytes) == (["a"], [changed])


@pytest.mark.parametrize(
    "changes",
    [
        {"content": "sha256:11"},
        {"declared": DeclaredImage(name="another")},
        {"declared": DeclaredImage(name="n", properties={"os": "linux"})},
    ],
)
def test_of_other_bytes_and_of_other_declared_facts_no_verdict_stands(changes: dict[str, Any]) -> None:
    entry = Entry(**{name: getattr(ENTRY, name) for name in ENTRY.__struct_fields__} | changes)
    assert [each.name for each in sort_out([inspector("a")], entry, judged(a="accepted")).bytes] == ["a"]


def test_an_image_that_an_unchanged_inspector_refuses_is_not_read_for_the_others() -> None:
    inspectors = [inspector("a"), inspector("b", Fingerprint(code="c", config="s", grants="new"))]
    todo = sort_out(inspectors, ENTRY, judged(a="refused", b="accepted"))
    assert todo.bytes == []
    warning = [inspector("a", mode="warn"), inspectors[1]]
    assert sort_out(warning, ENTRY, judged(a="refused", b="accepted")).bytes == [inspectors[1]]


def test_an_inspector_that_asks_a_service_runs_each_time_unless_the_service_is_trusted() -> None:
    inspectors = [inspector("a", grants={"clamd": "unix:/run/clamd.sock"})]
    assert sort_out(inspectors, ENTRY, judged(a="accepted")).bytes == inspectors
    assert sort_out(inspectors, ENTRY, judged(a="accepted"), trusts_services=True).bytes == []


def test_documents_tell_if_the_grants_or_settings_have_changed_and_not_if_code_or_view_have() -> None:
    feed = inspector("a", Fingerprint(code="c", config="s", grants="today"))
    assert sort_out([feed], ENTRY, judged(a="accepted"), from_documents=["a"]).documents == [feed]
    code = inspector("a", Fingerprint(code="new", config="s", grants="today"))
    assert sort_out([code], ENTRY, judged(a="accepted"), from_documents=["a"]).bytes == [code]


def test_a_refusal_counts_more_than_what_is_undecided_and_no_verdict_is_no_accept() -> None:
    a, b = inspector("a"), inspector("b")
    assert decide([a, b], {"a": verdict("a"), "b": verdict("b")}).outcome == "accepted"
    assert decide([a, b], {"a": verdict("a")}).outcome == "undecided"
    assert decide([a, b], {"a": verdict("a", "incomplete"), "b": verdict("b", "refused")}).outcome == "refused"
    assert decide([a], {"a": verdict("a", "stopped")}).outcome == "undecided"
    assert decide([inspector("a", mode="audit")], {"a": verdict("a", "refused")}).outcome == "accepted"


@pytest.mark.parametrize(("transformed", "outcome"), [(False, "refused"), (True, "incomplete"), (None, "incomplete")])
def test_a_signature_refuses_no_bytes_that_a_transform_may_have_made(transformed: bool | None, outcome: str) -> None:
    refused = verdict("s", "refused")
    for use in ("signature", "douane.plugins.signature:Signature"):
        assert judge_received(inspector("s", use=use), refused, transformed=transformed).outcome == outcome
    assert judge_received(inspector("r", use="yara"), refused, transformed=transformed).outcome == "refused"


@pytest.mark.parametrize(("use", "stands"), [("packages", False), ("yara", True)])
def test_what_judges_by_the_calendar_judges_again_on_another_day(use: str, stands: bool) -> None:
    """An exception ends, and so does the support of a system."""
    ran = Provenance(use=use, sandbox="full", code_sha256="c", config_sha256="s")
    record = Record(fingerprint_of(ran, "", "2026-11-29"), verdict("a"))
    earlier = Judged(content=ENTRY.content, declared=ENTRY.declared_digest, records={"a": record})
    todo = sort_out([inspector("a", fingerprint_of(ran, ""), use=use)], ENTRY, earlier, from_documents=["packages"])
    assert ([*todo.records], [each.name for each in todo.documents]) == ((["a"], []) if stands else ([], ["a"]))


def test_an_inspector_of_guest_and_findings_stands_only_with_all_before_it() -> None:
    feeds, asks = inspector("a"), inspector("p", reads="findings")
    reader, last = inspector("b", reads="guest+findings"), inspector("z")
    answers = judged(a="accepted", p="accepted", b="accepted", z="accepted")
    assert sort_out([feeds, asks, reader, last], ENTRY, answers).bytes == []
    feed = inspector("a", Fingerprint(code="c", config="s", grants="today"))
    todo = sort_out([feed, asks, reader, last], ENTRY, answers, from_documents=["a"])
    assert (todo.bytes, todo.documents, list(todo.records)) == ([feed, asks, reader], [], ["z"])
    changed = inspector("p", Fingerprint(code="c", config="new", grants="g"), reads="findings")
    assert sort_out([feeds, changed, reader, last], ENTRY, answers).bytes == [feeds, changed, reader]
    assert sort_out([reader, feed], ENTRY, answers).bytes == [feed]
