"""What one outcome alone says: failures, answers that no tenant understands, rules that were broken."""

from __future__ import annotations

import ast
import dataclasses
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from douane.host.policy import BadProperties, check_properties
from douane_plugin import wire

from .cases import NOTHING_DECLARED, USUAL, Case, Outcome
from .findings import Finding, show_image

LOG_BYTES = 256 << 10
SLEEP_SECONDS = 0.5
_REPR = re.compile(
    r"<[\w. ]+ (object )?at 0x[0-9a-f]+>|Traceback \(most recent call last\)|\bFile \"[^\"]+\", line \d+"
)
_ONLY_REPR = re.compile(r"(b'.*'|b\".*\"|\{.*\}|\[.*\]|\(.*\)|<.*>)", re.DOTALL)
_WORD = re.compile(r"[^\W\d_]{2,}")
SHRINK_SECONDS = 4.0
SMALL = 1 << 16
SMALL_SECONDS = 1.0
"""More than that for so small an image is a fault, whatever it is spent on."""

METHODS = ("inspect", "transform")
ANSWERS = ("Reject", "Incomplete", "Defer")
SLIPS = ("NameError", "UnboundLocalError", "BufferError")

Signature = tuple[str, str]


def judge(case: Case, outcome: Outcome, broad: Mapping[str, list[range]]) -> tuple[Signature, str] | None:
    """(code and what tells this finding from others, a sentence), or None. The first rule that is broken counts."""
    told = outcome.told
    size = len(case.data)
    if kept := outcome.has("kept"):
        return ("keeps-chunks", ""), f"a view of the chunk at offset {kept.partition(':')[2]} was kept for two chunks"
    if outcome.has("asked"):
        return ("reads-undeclared", ""), "it asks for the bytes of the image, and has declared that it reads none"
    if outcome.kind == "hangs":
        return ("hangs", ""), f"it gave no answer within {told.get('seconds'):g} s"
    if outcome.kind == "died":
        return ("died", ""), f"its process ended without an answer: {told.get('message')}"
    if told.get("slept", 0) > SLEEP_SECONDS:
        return ("sleeps", ""), f"it asks to sleep for {told['slept']:.3g} s in all, for an image of {size} bytes"
    cpu, wall = float(told.get("cpu", 0.0)), float(told.get("wall", 0.0))
    if size <= SMALL and not case.measure:
        if cpu > SMALL_SECONDS:
            return ("slow-growth", "small"), f"it needs {cpu:.3g} s of the processor for an image of {size} bytes"
        if wall - cpu > SMALL_SECONDS:
            return ("sleeps", "waits"), f"it waits for {wall - cpu:.3g} s, for an image of {size} bytes"
    if outcome.has("wrong-return"):
        return ("wrong-return", str(told.get("line"))), str(told.get("message"))
    for event, what in (
        ("yield-after-unchanged", "it said image.unchanged() and then yielded bytes"),
        ("unchanged-late", "it says image.unchanged() after it has yielded, or has read too much"),
    ):
        if outcome.has(event):
            return ("unchanged-misused", event), what
    if outcome.has("too-much-output"):
        return ("too-much-output", ""), f"of an image of {size} bytes it makes more than {told['output'][0]} bytes"
    if len(told.get("warnings", ())) > wire.MAX_WARNINGS:
        return (
            "too-many-warnings",
            "",
        ), f"it gives {len(told['warnings'])} warnings, and {wire.MAX_WARNINGS} are the most"
    if told.get("printed", 0) + told.get("logged", 0) > LOG_BYTES and _is_coarse(case):
        amount = told.get("printed", 0) + told.get("logged", 0)
        return ("floods", ""), f"it prints and logs {amount} bytes for an image of {size} bytes"
    if outcome.kind == "failed":
        return _failure(outcome)
    if outcome.kind == "accepted":
        return _properties(outcome) or _swallowed(outcome, broad)
    return _message(outcome)


def _is_coarse(case: Case) -> bool:
    return case.cuts == 0 or (isinstance(case.cuts, int) and case.cuts >= 1 << 16)


def _failure(outcome: Outcome) -> tuple[Signature, str]:
    told = outcome.told
    kind, message, line = str(told.get("kind")), str(told.get("message")), str(told.get("line"))
    if outcome.has("untellable"):
        return ("bad-properties", kind), message
    if "released memoryview" in message or "bytes-like object, memoryview found" in message:
        return ("keeps-chunks", "released"), "it uses a chunk after the next one was asked for"
    if kind == "ValueError" and message.startswith(("reads = ", "image.file is for", "image.path is for")):
        return ("reads-undeclared", line), message
    if kind == "ValueError" and message.startswith(("a code is 1 to", "a message is a sentence", "retry_after is")):
        return ("bad-answer", line), message
    if kind == "ValueError" and message.startswith(("a property's name is", "the value of ", "at most 64 properties")):
        return ("bad-properties", line), message
    if told.get("stage") == "configure":
        return ("fails-in-constructor", line), f"its constructor fails: {kind}: {message}"
    if kind == "MemoryError":
        return ("memory-growth", "MemoryError"), "it ran out of its memory"
    return ("fails", f"{kind}:{line}"), f"it fails with {kind}: {message[:200]}; the tenant is told nothing by that"


def _properties(outcome: Outcome) -> tuple[Signature, str] | None:
    try:
        check_properties("plugin", outcome.told.get("properties", {}))
    except BadProperties as error:
        return ("bad-properties", ""), str(error).replace("plugin.*", "NAME.*")
    for name, value in outcome.told.get("proposed", {}).items():
        try:
            if value is not None:
                check_properties("plugin", {"value": value})
        except BadProperties as error:
            return ("bad-properties", "proposed"), f"it proposes {name!r:.80}: {error}"
    return None


def _message(outcome: Outcome) -> tuple[Signature, str] | None:
    told = outcome.told
    message, code = str(told.get("message")), str(told.get("code"))
    signature: Signature = ("says-nothing", code)
    if _REPR.search(message):
        return signature, f"the message for the tenant is of the program's inside: {message[:200]!r}"
    if _ONLY_REPR.fullmatch(message.strip()):
        return signature, f"the message for the tenant is a value and no sentence: {message[:200]!r}"
    if told.get("cause"):
        kind, text, shown = told["cause"]
        rest = message
        for part in (shown, text, kind):
            if part:
                rest = rest.replace(part, " ")
        if len(_WORD.findall(rest)) < 3 and (text in message or shown in message or kind in message):
            return signature, f"the message for the tenant is the text of an exception ({kind}): {message[:200]!r}"
    if len(_WORD.findall(message)) < 2 or message.strip() == code:
        return signature, f"the message for the tenant is no sentence: {message[:200]!r}"
    return None


def _swallowed(outcome: Outcome, broad: Mapping[str, list[range]]) -> tuple[Signature, str] | None:
    warned = bool(outcome.told.get("warnings"))
    for kind, file, line, text, _ in outcome.told.get("exceptions", ()):
        if kind in ANSWERS and not warned:
            return ("swallows-errors", kind), f"it raises {kind} ({text[:120]}), catches it itself, and accepts"
        if kind in SLIPS:
            return ("swallows-errors", kind), f"it catches a {kind} ({text[:120]}), which is a slip, and accepts"
        if kind == "ValueError" and "released memoryview" in text:
            return ("keeps-chunks", "released"), "it uses a chunk after the next one was asked for, and hides that"
        if kind == "ValueError" and text.startswith(("reads = ", "image.file is for", "image.path is for")):
            return ("reads-undeclared", "hidden"), f"{text}; it hides that, and accepts"
        if not warned and any(line in lines for lines in broad.get(file, ())):
            what = f"line {line}: {kind} ({text[:120]}) is caught as any exception is, and the image is accepted"
            return ("swallows-errors", str(line)), what
    return None


def broad_handlers(source: Mapping[str, str]) -> dict[str, list[range]]:
    """Lines of `try` bodies whose handler takes every exception, and neither raises nor warns, by file."""
    found: dict[str, list[range]] = {}
    for name, text in source.items():
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError):
            continue
        # Elsewhere it may be a question ("is it that?") to which an error means no.
        methods = [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef) and one.name in METHODS]
        for node in [node for method in methods for node in ast.walk(method)]:
            if isinstance(node, ast.With) and any(_suppresses_all(item.context_expr) for item in node.items):
                found.setdefault(name, []).append(range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1))
            if isinstance(node, ast.Try) and any(_is_broad(handler) for handler in node.handlers):
                last = max(line.end_lineno or line.lineno for line in node.body)
                found.setdefault(name, []).append(range(node.body[0].lineno, last + 1))
    return found


def _suppresses_all(context: ast.expr) -> bool:
    """``contextlib.suppress(Exception)``."""
    if not isinstance(context, ast.Call) or not ast.unparse(context.func).endswith("suppress"):
        return False
    return any(isinstance(kind, ast.Name) and kind.id in ("Exception", "BaseException") for kind in context.args)


def _is_broad(handler: ast.ExceptHandler) -> bool:
    kind = handler.type
    names = [kind] if not isinstance(kind, ast.Tuple) else kind.elts
    takes_all = kind is None or any(isinstance(n, ast.Name) and n.id in ("Exception", "BaseException") for n in names)
    if not takes_all:
        return False
    return all(_says_nothing(line) for line in handler.body)


def _says_nothing(line: ast.stmt) -> bool:
    """The statement goes on, or ends with an accept, and does no more than log."""
    if isinstance(line, ast.Pass | ast.Continue | ast.Break):
        return True
    if isinstance(line, ast.Return):
        return line.value is None or isinstance(line.value, ast.Constant | ast.Dict)
    if isinstance(line, ast.Expr) and isinstance(line.value, ast.Call):
        return any(word in ast.unparse(line.value.func) for word in ("log.", "print"))
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)


def shrink(case: Case, is_same: Callable[[list[Case]], list[bool]], *, budget: int = 1500) -> tuple[Case, int]:
    """The smallest case that `is_same` still holds for, and how many were tried.

    Shorter, then simpler declarations, then zeros: as hypothesis does, but in batches and from what was found.
    """
    best, used = dataclasses.replace(case, trace=True), 0
    until = time.monotonic() + SHRINK_SECONDS

    def first(candidates: list[Case]) -> bool:
        nonlocal best, used
        candidates = [one for one in candidates if one != best][: max(0, budget - used)]
        if not candidates or time.monotonic() > until:
            return False
        used += len(candidates)
        for candidate, same in zip(candidates, is_same(candidates), strict=True):
            if same:
                best = candidate
                return True
        return False

    simple = USUAL if case.facts != NOTHING_DECLARED else NOTHING_DECLARED
    first([dataclasses.replace(best, facts=simple), *_simpler(best)])
    while first([dataclasses.replace(best, data=data) for data in _shorter(best.data)]):
        pass
    while first([dataclasses.replace(best, data=data) for data in _zeroed(best.data)]):
        pass
    return best, used


def _simpler(case: Case) -> list[Case]:
    facts = case.facts
    found = [dataclasses.replace(case, facts=dataclasses.replace(facts, properties=(one,))) for one in facts.properties]
    return found[:20]


def _shorter(data: bytes) -> list[bytes]:
    size = len(data)
    lengths = sorted({0, 1, 2, 4, 8, size // 16, size // 4, size // 2, size * 3 // 4, size - 16, size - 1})
    found = [data[:length] for length in lengths if 0 <= length < size]
    found += [data[size - length :] for length in lengths if 0 < length < size]
    step = max(1, size // 8)
    if size > 2:
        found += [data[:at] + data[at + step :] for at in range(0, size, step)]
    return found


def _zeroed(data: bytes) -> list[bytes]:
    size = len(data)
    found = []
    for parts in (1, 2, 4, 8, 16):
        step = max(1, -(-size // parts))
        for at in range(0, size, step):
            if data[at : at + step].strip(b"\0"):
                found.append(data[:at] + bytes(min(step, size - at)) + data[at + step :])
        if step == 1:
            break
    return found


def show(code: str, what: str, case: Case, outcome: Outcome) -> Finding:
    """A finding of one case."""
    trace = str(outcome.told.get("trace") or "")
    return Finding(code, what, show_image(case), (outcome.describe(),), trace[-1500:])


def classify(
    case: Case, outcome: Outcome, again: Callable[[list[Case]], list[Outcome]], names: Sequence[str], reads_bytes: bool
) -> str:
    """Of what kind a failure is: of an empty image, a short one, of what is declared, or of what the image holds.

    `names` are those that properties may have.
    """
    same = outcome.answer
    if not reads_bytes:
        return "fails-on-declared"
    full = dataclasses.replace(USUAL, owner="someone", properties=tuple((name, "1") for name in names))
    variants = [dataclasses.replace(case, facts=USUAL), dataclasses.replace(case, facts=full)]
    padded = [
        dataclasses.replace(case, data=case.data + pad) for pad in (bytes(8192), bytes(range(256)) * 32, b"\xff" * 8192)
    ]
    results = again([*variants, *padded])
    if any(one.answer != same for one in results[:2]):
        return "fails-on-declared"
    if all(one.answer == same for one in results[2:]):
        # Even long images fail; if any declaration does it, the declaration is not the cause either.
        return "fails-on-content"
    return "fails-on-short" if case.data else "fails-on-empty"


def plain_outcome(told: Mapping[str, Any]) -> Outcome:
    """An outcome of what the driver said."""
    return Outcome(str(told.get("outcome")), told)
