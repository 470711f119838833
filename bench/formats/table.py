"""The result as text, as Markdown for the documents, and as JSON."""

from __future__ import annotations

from typing import Any

from .corpus import corrections
from .judging import Disagreement, Result, Score
from .tools import Answer

HEADS = {"douane": "Douane", "oslo": "oslo.utils", "qemu": "qemu-img info"}
VERDICTS = {
    "safe refused": "safe images refused",
    "unsafe passed": "images with a danger in their structure passed",
    "unsafe passed, unknown": "of these, images of a format that it does not know",
    "unsafe passed, not structural": "images with another danger passed",
    "unsafe refused": "unsafe images refused",
    "policy refused": "images that are a matter of policy: refused",
    "policy passed": "images that are a matter of policy: passed",
}


def rows(result: Result) -> list[tuple[str, ...]]:
    """The cells of all rows, the head first."""
    scores = result.scores

    def line(what: str, cell: Any) -> tuple[str, ...]:
        return (what, *(cell(score) if callable(cell) else cell for score in scores.values()))

    def detected(score: Score) -> str:
        named = score.judged - score.silent
        rate = f"{score.detected} of {score.judged} ({score.detected / max(1, score.judged):.1%})"
        return rate + (f"; {score.detected / max(1, named):.1%} of those that it named" if score.silent else "")

    return [
        (f"{result.images} images", *(HEADS[tool] for tool in scores)),
        line("format right", detected),
        line("no format named", lambda score: str(score.silent)),
        line("of a format that it does not know (not counted above)", lambda score: str(score.unknown)),
        *(line(text, lambda score, what=what: str(score.verdicts[what])) for what, text in VERDICTS.items()),
        line("size of the disk as qemu-img's", _sizes),
        line("uncaught exceptions", lambda score: str(score.uncaught)),
    ]


def _sizes(score: Score) -> str:
    total = score.sizes.total()
    return f"{score.sizes['right']} of {total}, {score.sizes['wrong']} wrong" if total else "-"


def as_text(lines: list[tuple[str, ...]]) -> str:
    """Aligned columns."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def as_markdown(lines: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    with_rule = [lines[0], ("---", *["---:"] * (len(lines[0]) - 1)), *lines[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in with_rule)


def foot(result: Result) -> list[str]:
    """The corrected labels with their evidence, and the missed thresholds."""
    lines = [
        f"label corrected: {row.file}: {row.column} is {row.value or 'empty'}: {row.evidence}" for row in corrections()
    ]
    return lines + [f"MISSED: {sentence}" for sentence in result.missed()]


def disagreement_text(entry: Disagreement) -> str:
    """A few lines about one image."""
    label = entry.label
    head = f"{label.set}/{label.file}: {label.true_format}, {label.verdict} ({label.why})"
    faults = f"\n    Douane is wrong: {', '.join(entry.faults)}" if entry.faults else ""
    answers = (f"\n    {HEADS[tool]:<14}{_answer_text(answer)}" for tool, answer in entry.answers.items())
    return head + faults + "".join(answers)


def _answer_text(answer: Answer) -> str:
    size = "" if answer.size is None else f" {answer.size}"
    verdict = "passed" if answer.passed else "refused"
    return f"{answer.name or '-'}{size}, {verdict}" + (f": {answer.why}" if answer.why else "")


def as_json(result: Result) -> dict[str, Any]:
    """The complete result."""
    return {
        "images": result.images,
        "missed": result.missed(),
        "corrections": [vars(row) for row in corrections()],
        "tools": {
            tool: {
                "detected": score.detected,
                "asked": score.judged,
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
                "file": f"{entry.label.set}/{entry.label.file}",
                "true_format": entry.label.true_format,
                "verdict": entry.label.verdict,
                "why": entry.label.why,
                "not_structural": entry.label.not_structural,
                "faults": list(entry.faults),
                "answers": {tool: vars(answer) for tool, answer in entry.answers.items()},
            }
            for entry in result.disagreements
        ],
    }
