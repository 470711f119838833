"""The result as a person reads it, as Markdown for the documents, and as JSON."""

from __future__ import annotations

from typing import Any

from .corpus import corrections
from .judging import Disagreement, Result, Score
from .tools import Answer

HEADS = {"douane": "Douane", "oslo": "oslo.utils", "qemu": "qemu-img info"}
VERDICTS = {
    "safe refused": "safe images refused",
    "unsafe passed": "images with a danger in their structure passed",
    "unsafe passed, unknown": "of these, of a format that it has no notion of",
    "unsafe passed, not structural": "images with another danger passed",
    "unsafe refused": "unsafe images refused",
    "policy refused": "images that are a matter of policy: refused",
    "policy passed": "images that are a matter of policy: passed",
}


def rows(result: Result) -> list[tuple[str, ...]]:
    """The cells, the head first."""
    scores = result.scores

    def line(what: str, cell: Any) -> tuple[str, ...]:
        return (what, *(cell(score) if callable(cell) else cell for score in scores.values()))

    def detected(score: Score) -> str:
        named = score.asked - score.silent
        rate = f"{score.detected} of {score.asked} ({score.detected / max(1, score.asked):.1%})"
        return rate + (f"; {score.detected / max(1, named):.1%} of those that it named" if score.silent else "")

    return [
        (f"{result.images} images", *(HEADS[tool] for tool in scores)),
        line("format right", detected),
        line("no format told", lambda score: str(score.silent)),
        line("of a format that it has no notion of (not counted above)", lambda score: str(score.unknown)),
        *(line(text, lambda score, what=what: str(score.verdicts[what])) for what, text in VERDICTS.items()),
        line("size of the disk as qemu-img's", _sizes),
        line("exceptions that came out", lambda score: str(score.uncaught)),
    ]


def _sizes(score: Score) -> str:
    total = score.sizes.total()
    return f"{score.sizes['right']} of {total}, {score.sizes['wrong']} wrong" if total else "-"


def as_text(lines: list[tuple[str, ...]]) -> str:
    """Columns, aligned."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def as_markdown(lines: list[tuple[str, ...]]) -> str:
    """The same as a Markdown table."""
    with_rule = [lines[0], ("---", *["---:"] * (len(lines[0]) - 1)), *lines[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in with_rule)


def foot(result: Result) -> list[str]:
    """The labels that were corrected, with the evidence; and the thresholds that are missed."""
    told = [
        f"label corrected: {one.file}: {one.column} is {one.value or 'empty'}: {one.evidence}" for one in corrections()
    ]
    return told + [f"MISSED: {sentence}" for sentence in result.missed()]


def disagreement(one: Disagreement) -> str:
    """A few lines on one image."""
    label = one.label
    head = f"{label.set}/{label.file}: {label.true_format}, {label.verdict} ({label.why})"
    faults = f"\n    Douane is wrong: {', '.join(one.faults)}" if one.faults else ""
    return head + faults + "".join(f"\n    {HEADS[tool]:<14}{_told(answer)}" for tool, answer in one.answers.items())


def _told(answer: Answer) -> str:
    size = "" if answer.size is None else f" {answer.size}"
    verdict = "passed" if answer.passed else "refused"
    return f"{answer.name or '-'}{size}, {verdict}" + (f": {answer.why}" if answer.why else "")


def as_json(result: Result) -> dict[str, Any]:
    """All that is known."""
    return {
        "images": result.images,
        "missed": result.missed(),
        "corrections": [vars(one) for one in corrections()],
        "tools": {
            tool: {
                "detected": score.detected,
                "asked": score.asked,
                "silent": score.silent,
                "unknown": score.unknown,
                "verdicts": dict(score.verdicts),
                "sizes": dict(score.sizes),
                "uncaught": score.uncaught,
            }
            for tool, score in result.scores.items()
        },
        "disagreements": [
            {
                "file": f"{one.label.set}/{one.label.file}",
                "true_format": one.label.true_format,
                "verdict": one.label.verdict,
                "why": one.label.why,
                "not_structural": one.label.not_structural,
                "faults": list(one.faults),
                "answers": {tool: vars(answer) for tool, answer in one.answers.items()},
            }
            for one in result.disagreements
        ],
    }
