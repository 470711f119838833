"""The suite finds each planted fault, and reports its code."""

from __future__ import annotations

import pytest
from planted_plugins import ALL, classes_in

pytestmark = pytest.mark.timeout(900)  # half a minute each, and much more on a busy machine

FAULTS = {
    "faulty_streams.py": {
        "ChunkSearch": "depends-on-cuts",
        "ShortCarry": "depends-on-cuts",
        "ShortestCarry": "depends-on-cuts",
        "PositionByChunks": "depends-on-cuts",
        "CountsChunks": "depends-on-cuts",
        "HeadIsFirstChunk": "depends-on-cuts",
        "WarnsEachChunk": "depends-on-cuts",
        "KeepsViews": "keeps-chunks",
        "KeepsSlices": "keeps-chunks",
        "KeepsArrays": "keeps-chunks",
        "HidesBufferError": "keeps-chunks",
        "WindowsWithoutOverlap": "depends-on-cuts",
        "LineByLine": "depends-on-cuts",
        "OffByOneAtEnd": "depends-on-cuts",
        "LastByte": "depends-on-cuts",
        "PatternInChunks": "depends-on-cuts",
        "PatternWithoutOverlap": "depends-on-cuts",
    },
    "faulty_heads.py": {
        "ReadsFurther": "reads-undeclared",
        "ReadsNothing": "reads-undeclared",
        "FileInStream": "reads-undeclared",
        "UnpacksShort": "fails-on-empty",
        "DeepShort": "fails-on-short",
        "EmptyAverage": "fails-on-empty",
        "FirstByte": "fails-on-empty",
        "SizeIsThere": "fails-on-declared",
        "NameIsThere": "fails-on-declared",
        "PropertyIsThere": "fails-on-declared",
        "PropertyIsNumber": "fails-on-declared",
        "ReadsForEver": "hangs",
        "LoopsOnLength": "hangs",
        "ConfiguredOnImage": "fails-in-constructor",
    },
    "faulty_answers.py": {
        "BoolAnswer": "wrong-return",
        "BytesProperty": "bad-properties",
        "UnboundedText": "bad-properties",
        "UnsignedNumber": "bad-properties",
        "NotFinite": "bad-properties",
        "ManyPartitions": "bad-properties",
        "OddKey": "bad-properties",
        "NulInText": "bad-properties",
        "BadCode": "bad-answer",
        "ExceptionText": "says-nothing",
        "SaysOneWord": "says-nothing",
        "Lottery": "not-deterministic",
        "OnSundays": "not-deterministic",
        "StampsTime": "not-deterministic",
        "HashOrder": "not-deterministic",
        "HashOfText": "not-deterministic",
        "ClassList": "keeps-state",
        "DefaultDict": "keeps-state",
        "AcceptsErrors": "swallows-errors",
        "Sleeps": "sleeps",
        "SleepsEachChunk": "sleeps",
        "Chatters": "floods",
        "LogsEachChunk": "floods",
        "NameOfNothing": "fails-on-content",
        "FailsAlways": "fails-always",
        "NeedsApproval": "fails-on-declared",
        "LargeDisk": "fails-on-declared",
    },
    "faulty_growth.py": {
        "CollectsAll": "memory-growth",
        "AddsUp": "slow-growth",
        "ReadsFile": "memory-growth",
        "KeepsDigests": "memory-growth",
        "SearchesAgain": "slow-growth",
        "BlockList": "slow-growth",
        "RereadsFile": "slow-growth",
        "Catastrophe": "slow-growth",
        "SpacesAtEnd": "slow-growth",
        "AllMatches": "memory-growth",
        "MapsChunks": "memory-growth",
        "ChangesMappedFile": "memory-growth",
    },
    "faulty_transforms.py": {
        "StripPerChunk": "depends-on-cuts",
        "LateUnchanged": "unchanged-misused",
        "ReadsAllThenUnchanged": "unchanged-misused",
        "GoesOnAfterUnchanged": "unchanged-misused",
        "LosesTail": "loses-bytes",
        "QuietGunzip": "short-image",
        "NeverEnds": "too-much-output",
        "KeepsYielded": "keeps-chunks",
        "GunzipAtOnce": "memory-growth",
        "YieldsTexts": "wrong-return",
    },
}


DECLARED = {
    "NeedsApproval": {"properties": {"approved_by": "team/x", "sectors": "4"}, "config": {"approval": "x"}},
    "LargeDisk": {"findings": {"format.virtual_size": 6 << 30}},
}
"""What the plugins need before they come to their fault."""


def test_every_faulty_plugin_is_listed_with_its_code():
    for name, faults in FAULTS.items():
        assert list(faults) == classes_in(name)


HIDDEN_BY_LOAD = ("AddsUp",)
"""Adding to bytes is slow only where the allocator has to move them, which is hardly more than what other programs' use
of the caches costs."""


def chosen() -> list[tuple[str, str, str]]:
    """Return all faults, or one for each fourth code: each takes ten seconds."""
    every = [(name, plugin, code) for name, all_of in FAULTS.items() for plugin, code in all_of.items()]
    if ALL:
        return every
    by_code: dict[str, tuple[str, str, str]] = {}
    for name, plugin, code in every:
        if plugin not in HIDDEN_BY_LOAD:
            by_code.setdefault(code, (name, plugin, code))
    return sorted(by_code.values())[::4]


@pytest.mark.parametrize(("name", "plugin", "code"), chosen())
def test_a_planted_fault_is_found(conform, name, plugin, code):
    report = conform(f"{name}:{plugin}", **DECLARED.get(plugin, {}))
    assert code in [finding.code for finding in report.findings]


def test_without_the_property_that_it_asks_for_a_plugin_does_not_come_to_its_fault(conform):
    report = conform("faulty_answers.py:NeedsApproval", config={"approval": "x"})
    assert report.findings == []
    assert [warning.code for warning in report.warnings] == ["always-refuses"]
    assert f"refuses {report.verdicts['refused']} of {report.verdicts['refused']} images" in report.warnings[0].text


def test_without_a_finding_of_another_plugin_the_fault_is_not_reached(conform):
    assert conform("faulty_answers.py:LargeDisk").findings == []


def test_a_plugin_that_fails_on_every_image_gets_one_finding_with_its_first_error(conform):
    (finding,) = conform("faulty_answers.py:FailsAlways").findings
    assert "on every image that was tried" in finding.what
    assert "the first error: NameError: name 'kind_of_image' is not defined" in finding.what
    assert "kind_of_image" in finding.trace


def test_a_finding_shows_the_smallest_image_and_the_remedy(conform):
    report = conform("faulty_streams.py:LastByte")
    finding = next(finding for finding in report.findings if finding.code == "depends-on-cuts")
    assert finding.image["hex"] == "55aa"
    assert finding.image["cuts"] == "cut at 1"
    assert [outcome.partition(": ")[2].partition(" ")[0] for outcome in finding.outcomes] == ["accepted", "refused"]
    assert "image.windows" in finding.mend
