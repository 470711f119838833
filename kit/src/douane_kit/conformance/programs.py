"""`exec:` plugins, from outside: the image on standard input, the verdict by the exit status."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence

from douane import sandbox
from douane.declared import DeclaredImage
from douane.engine import FileSource, Plan, PluginSpec, RunOptions, Verdict, inspect_image

from . import images
from .findings import Finding, Report

_F_ADD_SEALS, _F_SEAL_ALL_WRITES = 1033, 0x0002 | 0x0004 | 0x0008
SECONDS = 20.0


def through_engine(spec: PluginSpec, tier: sandbox.Tier, data: bytes) -> tuple[Verdict | None, int]:
    """What the engine says of `data`: the plugin's verdict, and how many bytes it has printed."""
    import msgspec

    fd = os.memfd_create("conformance", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, b"") if not data else _write(fd, data)
    fcntl.fcntl(fd, _F_ADD_SEALS, _F_SEAL_ALL_WRITES)
    printed = 0

    def emit(_plugin: str, _level: int, text: str) -> None:
        nonlocal printed
        printed += len(text)

    spec = msgspec.structs.replace(spec, stall=min(spec.stall, SECONDS), timeout=min(spec.timeout, SECONDS))
    plan = Plan(plugins=(spec,), digests=(), minimum_sandbox="off")
    source = FileSource(fd, "image.img")
    declared = DeclaredImage(name="image.img", disk_format="raw", container_format="bare")
    report = inspect_image(plan, declared, source, options=RunOptions(tier=tier, emit=emit))
    return next((verdict for verdict in report.verdicts if verdict.plugin == spec.name), None), printed


def _write(fd: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]
    os.lseek(fd, 0, os.SEEK_SET)


def check_program(spec: PluginSpec, tier: sandbox.Tier, given: Sequence[bytes], report: Report) -> None:
    """Put the program through what can be seen from outside."""
    chosen: list[tuple[str, bytes]] = [
        ("an empty image", b""),
        ("an image of one byte", b"\0"),
        ("an image of one byte", b"A"),
        ("4096 zeros", bytes(4096)),
        ("text", b"The quick brown fox.\n" * 40),
        ("1 MiB without a pattern", images.filler(1 << 20, report.seed)),
        ("3 MiB of ff", b"\xff" * (3 << 20)),
    ]
    chosen += [
        (name, data) for name, data in images.real(report.seed) if name in ("mbr", "qcow2", "gzip", "iso", "vmdk")
    ]
    for number, data in enumerate(given, 1):
        chosen.append((f"image {number} of the command line", data))
        for size in (1, 512, len(data) // 2, len(data) - 1):
            if 0 < size < len(data):
                chosen.append((f"the first {size} bytes of image {number}", data[:size]))
    seen: set[str] = set()
    for name, data in chosen:
        answers = []
        for _ in range(2):
            verdict, printed = through_engine(spec, tier, data)
            report.checks["runs through the engine"] = report.checks.get("runs through the engine", 0) + 1
            if verdict is None:
                continue
            report.verdicts[verdict.outcome] += 1
            answers.append((verdict.outcome, verdict.code, verdict.message))
            found = _judge(name, data, verdict, printed)
            if found is not None and found.code not in seen:
                seen.add(found.code)
                report.findings.append(found)
        if len(set(answers)) > 1 and "not-deterministic" not in seen:
            seen.add("not-deterministic")
            shown = tuple(f"{outcome} {message or ''}".strip() for outcome, _, message in answers)
            report.findings.append(
                Finding("not-deterministic", "the same image gets two answers", _shown(name, data), shown)
            )


def _judge(name: str, data: bytes, verdict: Verdict, printed: int) -> Finding | None:
    image = _shown(name, data)
    told = (f"{verdict.outcome}: {verdict.message or ''}".rstrip(": "),)
    if verdict.outcome == "timeout":
        return Finding("hangs", f"it gave no answer: {verdict.detail or verdict.message}", image, told)
    if verdict.outcome == "failed":
        code = "fails-on-empty" if not data else "fails-on-short" if len(data) < 512 else "fails-as-program"
        return Finding(code, f"it fails: {verdict.detail or verdict.message}", image, told)
    if verdict.outcome == "refused" and (verdict.message or "").endswith("refused it, and gave no reason"):
        return Finding("says-nothing", "it refuses and writes no reason to standard error", image, told)
    if verdict.outcome == "refused" and len((verdict.message or "").split()) < 2:
        return Finding("says-nothing", f"the reason is no sentence: {verdict.message!r}", image, told)
    if printed > 200 << 10:
        return Finding("floods", f"it prints {printed} bytes and more for an image of {len(data)} bytes", image, told)
    return None


def _shown(name: str, data: bytes) -> dict[str, object]:
    told: dict[str, object] = {"size": len(data), "recipe": name}
    if len(data) <= 64:
        told["hex"] = data.hex()
    return told
