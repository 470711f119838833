"""Every code that an error or a verdict can carry is explained: in docs/exit-codes.md, findings in docs/formats.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from douane.cli import main, signals
from douane.cli.guest_run import UNPACKING
from douane.plugins import limits
from douane.plugins.clamav import SKIPPED
from douane.plugins.format import HALF_READ
from douane.plugins.formats.codes import CODES
from douane.report import EXIT_CODES, Bytes, Provenance, Report, Verdict, Warned
from support.doc_pages import TOP, page, section, spans, tables

CODE = re.compile(r"[a-z]+(?:-[a-z]+)*")
RAISED = ("Reject", "Incomplete")
ENDINGS = {
    "fail": 1,
    "finish": 1,
    "HttpError": 1,
    "Reason": 1,
    "Failure": 1,
    "match": 1,
    "gap": 0,
    "FailPlugin": 2,
    "RefuseOutput": 1,
    "Unsupported": 1,
}
"""The position of the code among the arguments."""
PREFIXES = {"side": ("store", "target"), "prefix": ("ova", "tar")}


def strings(node: ast.AST, constants: dict[str, str]) -> Iterator[str]:
    """The texts that an expression may have: constants, names of constants, f-strings with known parts."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Name) and node.id in constants:
        yield constants[node.id]
    elif isinstance(node, ast.IfExp):
        yield from strings(node.body, constants)
        yield from strings(node.orelse, constants)
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from strings(value, constants)
    elif isinstance(node, ast.JoinedStr):
        parts = [""]
        for value in node.values:
            if isinstance(value, ast.FormattedValue):
                names = PREFIXES.get(value.value.id, ()) if isinstance(value.value, ast.Name) else ()
            else:
                names = (value.value,)
            parts = [part + name for part in parts for name in names]
        yield from parts


def places(tree: ast.AST) -> Iterator[ast.AST]:
    """The expressions that become a code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            several = isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
            pairs = zip(target.elts, node.value.elts, strict=False) if several else [(target, node.value)]
            for first, second in pairs:
                if getattr(first, "attr", getattr(first, "id", "")) == "code":
                    yield second
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "code":
                    yield value
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            yield from (each.value for each in node.keywords if each.arg == "code")
            if name in (*RAISED, "warn", "__init__") and node.args:
                yield node.args[0]
            elif name in ENDINGS and len(node.args) > ENDINGS[name]:
                yield node.args[ENDINGS[name]]
            elif name == "getattr" and len(node.args) > 2 and getattr(node.args[1], "value", "") == "code":
                yield node.args[2]


def codes_of_the_source() -> set[str]:
    codes = {
        *HALF_READ.values(),
        *limits.HALF_READ,
        *UNPACKING,
        *SKIPPED.values(),
    }  # which become codes by way of a table
    for path in [*TOP.glob("src/douane/**/*.py"), *TOP.glob("sdk/src/**/*.py"), *TOP.glob("guest/src/**/*.py")]:
        if path.parent.name == "formats" or "conformance" in path.parts:
            continue  # findings, which are not told as they are, or have a page of their own
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants = {
            node.targets[0].id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        }
        for place in places(tree):
            codes.update(text for text in strings(place, constants) if CODE.fullmatch(text))
    return codes


def codes_of_the_page() -> set[str]:
    codes: set[str] = set()
    text = page("docs/exit-codes.md")
    for rows in tables(text.replace(section(text, "The report"), "")):
        for row in rows:
            codes.update(re.findall(r"`([a-z-]+)`", row[0]))
    return codes


def test_the_search_finds_codes_of_every_kind():
    assert {
        "plugin-error", "deadline", "store-full", "target-io", "not-found", "interrupted", "cancelled",
        "format-mismatch", "format-ambiguous", "oslo-unsafe", "undecided", "sandbox-failed", "image-deleted",
    } <= codes_of_the_source()  # fmt: skip


def test_every_code_is_explained():
    missing = codes_of_the_source() - codes_of_the_page()
    assert not missing, f"not in docs/exit-codes.md: {sorted(missing)}"


def test_every_finding_is_explained_and_the_codes_lead_there():
    """With ``unsafe-`` before it where it refuses, and as it is where it warns."""
    (rows, *_) = tables(section(page("docs/formats.md"), "Findings"))
    explanations = {row[0].strip("`"): row[2] for row in rows}
    assert explanations == {code: worth for code, (worth, _) in CODES.items()}
    (of_format, *_) = tables(section(page("docs/exit-codes.md"), "Codes of the built-in inspectors"))
    (meaning,) = (row[1] for row in of_format if row[0] == "`unsafe-CODE`")
    assert "(formats.md#findings)" in meaning


def test_what_is_told_otherwise_is_said_there():
    text = section(page("docs/formats.md"), "Findings")
    for code in ("ambiguous", "format-ambiguous", *HALF_READ, *HALF_READ.values()):
        assert f"`{code}`" in text, code


def test_no_code_is_explained_that_nothing_has():
    outcomes = {"accepted", "refused", "deferred", "incomplete", "failed", "timeout", "stopped"}
    gone = codes_of_the_page() - codes_of_the_source() - outcomes
    assert not gone, f"in docs/exit-codes.md, but nowhere in the source: {sorted(gone)}"


def test_the_exit_codes_are_those_of_the_command():
    listed = {int(row[0]) for row in tables(page("docs/exit-codes.md"))[0]}
    assert listed == {*EXIT_CODES.values(), 2, main.INTERRUPTED, signals.TERMINATED}


@pytest.mark.parametrize("kind", [Report, Verdict, Bytes, Provenance, Warned])
def test_every_field_of_a_report_is_explained(kind):
    names = spans(section(page("docs/exit-codes.md"), "The report"))
    assert not set(kind.__struct_fields__) - set(names)
