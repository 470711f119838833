"""The faults that a single outcome shows: failures, answers that help no tenant, broken rules of the contract."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from douane.host.policy import BadProperties, check_properties
from douane_plugin import wire

from .cases import Case, Facts, Outcome

LOG_BYTES = 256 << 10
SLEEP_SECONDS = 0.5
SMALL_BYTES = 1 << 16
SMALL_SECONDS = 1.0
"""More time for an image of `SMALL_BYTES` is a fault in every plugin."""

METHODS = ("inspect", "transform")
ANSWERS = ("Reject", "Incomplete", "Defer")
SLIPS = ("NameError", "UnboundLocalError", "BufferError")
UNDECLARED = (
    "reads = ",
    *(f"image.{member} is for" for member in ("file", "path", "guest", "files()", "volumes", "unread")),
)
"""The starts of the contract's messages to a plugin that reads more than it has declared."""

_REPR = re.compile(
    r"<[\w. ]+ (object )?at 0x[0-9a-f]+>|Traceback \(most recent call last\)|\bFile \"[^\"]+\", line \d+"
)
_ONLY_REPR = re.compile(r"(b'.*'|b\".*\"|\{.*\}|\[.*\]|\(.*\)|<.*>)", re.DOTALL)
_WORD = re.compile(r"[^\W\d_]{2,}")


class Fault(NamedTuple):
    """`code` as in findings, `detail` to tell faults of one code apart, and a sentence."""

    code: str
    detail: str
    text: str

    def is_like(self, fault: Fault | None) -> bool:
        """True if both are the same fault, shown by different images."""
        return fault is not None and (self.code, self.detail) == (fault.code, fault.detail)


def judge(case: Case, outcome: Outcome, broad: Mapping[str, list[range]]) -> Fault | None:
    """Return the first fault that `outcome` shows, or None. `broad` is from :func:`broad_handlers`."""
    return (
        _by_event(case, outcome)
        or _by_time(case, outcome)
        or _by_amount(case, outcome)
        or (_by_failure(outcome) if outcome.kind == "failed" else None)
        or (_by_properties(outcome) or _by_swallowed(outcome, broad) if outcome.kind == "accepted" else None)
        or (_by_message(outcome) if outcome.kind in ("refused", "incomplete", "deferred") else None)
    )


def _by_event(case: Case, outcome: Outcome) -> Fault | None:
    size = len(case.data)
    if event := outcome.event("kept"):
        text = f"it kept a view of the chunk at offset {event.partition(':')[2]} for two chunks"
        return Fault("keeps-chunks", "", text)
    if outcome.event("asked"):
        return Fault("reads-undeclared", "", "it reads bytes of the image, and has declared that it reads none")
    if outcome.kind == "hangs":
        return Fault("hangs", "", f"it gave no answer within {outcome.wall:g} s")
    if outcome.kind == "died":
        return Fault("died", "", f"its process ended without an answer: {outcome.message}")
    if outcome.event("unchanged-late"):
        text = "it calls image.unchanged() after it has yielded, or has read too much"
        return Fault("unchanged-misused", "late", text)
    if outcome.event("too-much-output"):
        return Fault("too-much-output", "", f"of an image of {size} bytes it makes {outcome.output_size} and more")
    return None


def _by_time(case: Case, outcome: Outcome) -> Fault | None:
    size = len(case.data)
    if outcome.slept > SLEEP_SECONDS:
        return Fault("sleeps", "", f"it sleeps {outcome.slept:.3g} s for an image of {size} bytes")
    if size > SMALL_BYTES or case.measure_memory:
        return None
    if outcome.cpu > SMALL_SECONDS:
        text = f"it needs {outcome.cpu:.3g} s of processor time for an image of {size} bytes"
        return Fault("slow-growth", "small", text)
    if outcome.wall - outcome.cpu > SMALL_SECONDS:
        return Fault("sleeps", "waits", f"it waits {outcome.wall - outcome.cpu:.3g} s for an image of {size} bytes")
    return None


def _by_amount(case: Case, outcome: Outcome) -> Fault | None:
    if len(outcome.warnings) > wire.MAX_WARNINGS:
        text = f"it gives {len(outcome.warnings)} warnings; {wire.MAX_WARNINGS} are allowed"
        return Fault("too-many-warnings", "", text)
    amount = outcome.printed + outcome.logged
    if amount > LOG_BYTES and isinstance(case.cuts, int) and (case.cuts == 0 or case.cuts >= 1 << 16):
        return Fault("floods", "", f"it prints and logs {amount} bytes for an image of {len(case.data)} bytes")
    return None


def _by_failure(outcome: Outcome) -> Fault:
    error, message, line = outcome.error, outcome.message, str(outcome.line)
    contract, _, _ = outcome.origin.partition(":")
    if "released memoryview" in message or "bytes-like object, memoryview found" in message:
        return Fault("keeps-chunks", "released", "it uses a chunk after it has asked for the next one")
    if message.startswith(UNDECLARED):
        return Fault("reads-undeclared", line, message)
    if outcome.origin == "_runtime:_transform" and error == "ValueError":
        return Fault("unchanged-misused", "yield", "it called image.unchanged() and then yielded bytes")
    if outcome.origin in ("_runtime:_transform", "_answer:inspected_properties"):
        return Fault("wrong-return", line, message)
    if outcome.origin == "_runtime:_finish" or contract == "_json":
        return Fault("bad-properties", error, message)
    if outcome.origin in ("_contract:check_proposal", "_runtime:propose"):
        return Fault("bad-properties", line, message)
    if contract in ("_contract", "_exceptions") and error == "ValueError":
        return Fault("bad-answer", line, message)
    if outcome.stage == "configure":
        return Fault("fails-in-constructor", line, f"its constructor fails: {error}: {message}")
    if error == "MemoryError":
        return Fault("memory-growth", "MemoryError", "it ran out of its memory")
    text = f"it fails with {error}: {message[:200]}; the tenant learns nothing by that"
    return Fault("fails", f"{error}:{line}", text)


def _by_properties(outcome: Outcome) -> Fault | None:
    try:
        check_properties("plugin", outcome.properties)
    except BadProperties as error:
        return Fault("bad-properties", "", str(error).replace("plugin.*", "NAME.*"))
    for name, value in outcome.proposed.items():
        try:
            if value is not None:
                check_properties("plugin", {"value": value})
        except BadProperties as error:
            return Fault("bad-properties", "proposed", f"it proposes {name!r:.80}: {error}")
    return None


def _by_message(outcome: Outcome) -> Fault | None:
    message, code = outcome.message, outcome.code
    text = None
    if _REPR.search(message):
        text = "the message for the tenant shows the inside of the program"
    elif _ONLY_REPR.fullmatch(message.strip()):
        text = "the message for the tenant is a value, not a sentence"
    elif outcome.cause is not None and _quotes(message, outcome.cause):
        text = f"the message for the tenant is the text of an exception ({outcome.cause[0]})"
    elif len(_WORD.findall(message)) < 2 or message.strip() == code:
        text = "the message for the tenant is not a sentence"
    return Fault("says-nothing", code, f"{text}: {message[:200]!r}") if text is not None else None


def _quotes(message: str, cause: tuple[str, str, str]) -> bool:
    """True if `message` says little but the kind, text or repr of an exception."""
    kind, text, representation = cause
    rest = message
    for part in (representation, text, kind):
        if part:
            rest = rest.replace(part, " ")
    return rest != message and len(_WORD.findall(rest)) < 3


def _by_swallowed(outcome: Outcome, broad: Mapping[str, list[range]]) -> Fault | None:
    for error, file, line, message in outcome.exceptions:
        excerpt = message[:120]
        if error in SLIPS:
            return Fault("swallows-errors", error, f"it catches a {error} ({excerpt}), which is a slip, and accepts")
        if error == "ValueError" and "released memoryview" in message:
            text = "it uses a chunk after it has asked for the next one, and hides that"
            return Fault("keeps-chunks", "released", text)
        if error == "ValueError" and message.startswith(UNDECLARED):
            return Fault("reads-undeclared", "hidden", f"{message}; it hides that, and accepts")
        if outcome.warnings or (error == "Incomplete" and message.startswith("guest-")):
            continue  # the second is what a method of the guest raised; it is listed as unread
        if error in ANSWERS:
            return Fault("swallows-errors", error, f"it raises {error} ({excerpt}), catches it itself, and accepts")
        if any(line in lines for lines in broad.get(file, ())):
            text = f"line {line}: it catches {error} ({excerpt}) like any exception, and accepts the image"
            return Fault("swallows-errors", str(line), text)
    return None


def broad_handlers(sources: Mapping[str, str]) -> dict[str, list[range]]:
    """Return, by file, the lines whose exceptions are all caught in silence: neither raised nor reported as a warning.

    Only `inspect` and `transform` count: in other functions an exception may be the answer "no" to a question.
    """
    handlers: dict[str, list[range]] = {}
    for path, text in sources.items():
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError):
            continue
        methods = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name in METHODS]
        for node in [node for method in methods for node in ast.walk(method)]:
            if (isinstance(node, ast.With) and any(_suppresses_all(item.context_expr) for item in node.items)) or (
                isinstance(node, ast.Try) and any(_is_silent(handler) for handler in node.handlers)
            ):
                last = max(line.end_lineno or line.lineno for line in node.body)
                handlers.setdefault(path, []).append(range(node.body[0].lineno, last + 1))
    return handlers


def _suppresses_all(context: ast.expr) -> bool:
    """True for ``contextlib.suppress(Exception)``."""
    is_suppress = isinstance(context, ast.Call) and ast.unparse(context.func).endswith("suppress")
    return isinstance(context, ast.Call) and is_suppress and any(map(_is_exception, context.args))


def _is_exception(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Name) and node.id in ("Exception", "BaseException")


def _is_silent(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    takes_all = handler.type is None or any(map(_is_exception, kinds))
    return takes_all and all(_is_quiet(line) for line in handler.body)


def _is_quiet(line: ast.stmt) -> bool:
    """True if the statement goes on, or returns an accept, and does no more than log."""
    if isinstance(line, ast.Pass | ast.Continue | ast.Break):
        return True
    if isinstance(line, ast.Return):
        return line.value is None or isinstance(line.value, ast.Constant | ast.Dict)
    if isinstance(line, ast.Expr) and isinstance(line.value, ast.Call):
        return any(word in ast.unparse(line.value.func) for word in ("log.", "print"))
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)


def classify(
    case: Case,
    outcome: Outcome,
    run: Callable[[list[Case]], list[Outcome]],
    names: Sequence[str],
    usual: Facts,
    reads_bytes: bool,
) -> str:
    """Return the code of a failure: by an empty image, a short image, declared facts or content.

    `names` are names that properties may have, `usual` the facts of most images.
    """
    if not reads_bytes:
        return "fails-on-declared"
    properties = {**dict.fromkeys(names, "1"), **dict(usual.properties)}
    full = dataclasses.replace(usual, owner="someone", properties=tuple(properties.items()))
    pads = (bytes(8192), bytes(range(256)) * 32, b"\xff" * 8192)
    declared = [dataclasses.replace(case, facts=usual), dataclasses.replace(case, facts=full)]
    padded = [dataclasses.replace(case, data=case.data + pad) for pad in pads]
    answers = [again.answer for again in run([*declared, *padded])]
    if any(answer != outcome.answer for answer in answers[:2]):
        return "fails-on-declared"
    if all(answer == outcome.answer for answer in answers[2:]):
        return "fails-on-content"  # long images fail as well
    return "fails-on-short" if case.data else "fails-on-empty"
