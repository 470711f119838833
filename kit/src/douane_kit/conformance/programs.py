"""Run the plugin through the engine, as in production; for programs (`exec:`) that is all that can be done."""

from __future__ import annotations

import dataclasses
import fcntl
import os
from collections.abc import Sequence

import msgspec

from douane import sandbox
from douane.declared import DeclaredImage
from douane.engine import FileSource, Plan, PluginSpec, RunOptions, Verdict, inspect_image

from . import images
from .cases import Case, Facts, Outcome
from .findings import Finding, Report

_F_ADD_SEALS, _F_SEAL_ALL_WRITES = 1033, 0x0002 | 0x0004 | 0x0008
SECONDS = 20.0
LOG_BYTES = 200 << 10
KNOWN_FORMATS = ("mbr", "qcow2", "gzip", "iso", "vmdk")


def through_engine(spec: PluginSpec, tier: sandbox.Tier, case: Case) -> tuple[Verdict | None, int]:
    """Return the plugin's verdict on the image of `case`, and the number of characters that it printed and logged."""
    fd = os.memfd_create("conformance", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(os.dup(fd), "wb") as file:
        file.write(case.data)
    fcntl.fcntl(fd, _F_ADD_SEALS, _F_SEAL_ALL_WRITES)
    printed = 0

    def emit(_plugin: str, _level: int, text: str) -> None:
        nonlocal printed
        printed += len(text)

    spec = msgspec.structs.replace(spec, stall=min(spec.stall, SECONDS), timeout=min(spec.timeout, SECONDS))
    plan = Plan(plugins=(spec,), digests=(), minimum_sandbox="off")
    facts = case.facts
    declared = DeclaredImage(
        name=facts.name,
        disk_format=facts.disk_format,
        container_format=facts.container_format,
        properties=dict(facts.properties),
        owner=facts.owner,
        roles=facts.roles,
    )
    options = RunOptions(tier=tier, emit=emit)
    os.lseek(fd, 0, os.SEEK_SET)
    report = inspect_image(plan, declared, FileSource(fd, "image.img"), options=options)
    return next((verdict for verdict in report.verdicts if verdict.plugin == spec.name), None), printed


def check_program(
    spec: PluginSpec, tier: sandbox.Tier, samples: Sequence[bytes], declared: Facts, report: Report
) -> None:
    """Run a program on images, each twice, and add the findings to `report`; `samples` are images of the author."""
    failures: list[Finding] = []
    codes: set[str] = set()
    for name, data in _images(samples, report.seed):
        answers = []
        case = Case(data, facts=declared)
        for _ in range(2):
            verdict, printed = through_engine(spec, tier, case)
            report.count("runs through the engine", 1)
            if verdict is None:
                continue
            report.verdicts[verdict.outcome] += 1
            answers.append((verdict.outcome, verdict.code, verdict.message))
            finding = judge_verdict(name, case, verdict, printed)
            if finding is not None and verdict.outcome == "failed":
                failures.append(finding)
            if finding is not None and finding.code not in codes:
                codes.add(finding.code)
                report.findings.append(finding)
        if len(set(answers)) > 1 and "not-deterministic" not in codes:
            codes.add("not-deterministic")
            outcomes = tuple(f"{outcome} {message or ''}".strip() for outcome, _, message in answers)
            text = "the same image gets two answers"
            report.findings.append(_finding("not-deterministic", text, name, case, outcomes))
    if failures and len(failures) == report.verdicts.total():
        number, first = len(failures), failures[0]
        text = f"it fails on every image that was tried, {number} of {number}; the first error: {first.what}"
        report.findings[:] = [dataclasses.replace(first, code="fails-always", what=text)]
    else:
        report.warn_of_one_answer()


def disagrees(verdict: Verdict, outcome: Outcome) -> bool:
    """Return True if the engine gives no answer where the suite got one.

    Not for an answer with proposed properties, about which the operator decides.
    """
    is_fault = verdict.outcome in ("failed", "timeout") and outcome.kind not in ("failed", "hangs", "died")
    return is_fault and not outcome.proposed


def _images(samples: Sequence[bytes], seed: int) -> list[tuple[str, bytes]]:
    chosen: list[tuple[str, bytes]] = [
        ("an empty image", b""),
        ("an image of one byte", b"\0"),
        ("an image of one byte", b"A"),
        ("4096 zeros", bytes(4096)),
        ("text", b"The quick brown fox.\n" * 40),
        ("1 MiB without a pattern", images.filler(1 << 20, seed)),
        ("3 MiB of ff", b"\xff" * (3 << 20)),
    ]
    chosen += [(name, data) for name, data in images.formats(seed) if name in KNOWN_FORMATS]
    for number, data in enumerate(samples, 1):
        chosen.append((f"image {number} of the command line", data))
        for size in (1, 512, len(data) // 2, len(data) - 1):
            if 0 < size < len(data):
                chosen.append((f"the first {size} bytes of image {number}", data[:size]))
    return chosen


def judge_verdict(name: str, case: Case, verdict: Verdict, printed: int) -> Finding | None:
    """Return the fault that a verdict on the image `name` shows, or None."""
    data = case.data
    message = verdict.message or ""
    code, text = None, ""
    if verdict.outcome == "timeout":
        code, text = "hangs", f"it gave no answer: {verdict.detail or message}"
    elif verdict.outcome == "failed":
        code = "fails-on-empty" if not data else "fails-on-short" if len(data) < 512 else "fails-as-program"
        text = f"it fails: {verdict.detail or message}"
    elif verdict.outcome == "refused" and message.endswith("refused it, and gave no reason"):
        code, text = "says-nothing", "it refuses and writes no reason to standard error"
    elif verdict.outcome == "refused" and len(message.split()) < 2:
        code, text = "says-nothing", f"the reason is not a sentence: {message!r}"
    elif printed > LOG_BYTES:
        code, text = "floods", f"it prints {printed} bytes and more for an image of {len(data)} bytes"
    outcomes = (f"{verdict.outcome}: {message}".rstrip(": "),)
    return _finding(code, text, name, case, outcomes) if code is not None else None


def _finding(code: str, text: str, name: str, case: Case, outcomes: tuple[str, ...]) -> Finding:
    data = case.data
    image = {"size": len(data), "recipe": name, **({"hex": data.hex()} if len(data) <= 64 else {})}
    return Finding(code, text, image, outcomes, "", "program", lambda: (case,))
