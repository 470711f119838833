"""Compare the answers of the tools with the manifests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .corpus import Labelled
from .names import is_right
from .tools import Answer

MIN_DETECTED = 0.99
SECTOR = 512


@dataclass
class Score:
    """One tool's counts."""

    detected: int = 0
    judged: int = 0
    """Images of formats that the tool knows."""
    silent: int = 0
    """Images among these for which the tool gave no name."""
    unknown: int = 0
    """Images of formats that the tool does not know."""
    verdicts: Counter[str] = field(default_factory=Counter)
    """``safe refused``, ``unsafe passed``, ..., and ``... not structural`` for the reviewed exceptions."""
    sizes: Counter[str] = field(default_factory=Counter)
    uncaught: int = 0


@dataclass(frozen=True)
class Disagreement:
    """An image on which the tools, or a tool and the manifest, disagree. `faults` are those of Douane."""

    label: Labelled
    answers: Mapping[str, Answer]
    faults: tuple[str, ...]


@dataclass
class Result:
    """The scores of all tools, and the disagreements."""

    images: int
    scores: dict[str, Score]
    disagreements: list[Disagreement]

    def missed(self) -> list[str]:
        """A sentence for each threshold that Douane misses."""
        score = self.scores["douane"]
        sentences = []
        if score.detected < MIN_DETECTED * score.judged:
            sentences.append(
                f"{score.detected} of {score.judged} formats were detected, but the minimum is {MIN_DETECTED:.0%}"
            )
        for count, what in (
            (score.verdicts["safe refused"], "safe images were refused"),
            (score.verdicts["unsafe passed"], "images with a danger in their structure passed"),
            (score.sizes["wrong"], "sizes differ from qemu-img's"),
            (score.uncaught, "exceptions were raised"),
        ):
            if count:
                sentences.append(f"{count} {what}")
        return sentences


def judge(labels: Sequence[Labelled], answers: Sequence[Mapping[str, Answer]]) -> Result:
    """Count the answers of each tool, and collect the disagreements."""
    scores = {tool: Score() for tool in answers[0]} if answers else {}
    disagreements = []
    for label, by_tool in zip(labels, answers, strict=True):
        faults: list[str] = []
        differ = False
        for tool, answer in by_tool.items():
            mistakes = [
                *_detection(tool, label, answer, scores[tool]),
                *_verdict(tool, label, answer, scores[tool]),
                *_size(tool, label, answer, by_tool["qemu"], scores[tool]),
                *_uncaught(answer, scores[tool]),
            ]
            differ = differ or bool(mistakes)
            faults += mistakes if tool == "douane" else ()
        if differ:
            disagreements.append(Disagreement(label, by_tool, tuple(faults)))
    return Result(len(labels), scores, disagreements)


def _detection(tool: str, label: Labelled, answer: Answer, score: Score) -> list[str]:
    verdict = is_right(tool, label.true_format, answer.name)
    if verdict is None:
        score.unknown += 1
        return []
    score.judged += 1
    score.detected += verdict
    score.silent += not answer.name
    return [] if verdict else ["format"]


def _verdict(tool: str, label: Labelled, answer: Answer, score: Score) -> list[str]:
    what = f"{label.verdict} {'passed' if answer.passed else 'refused'}"
    if what == "unsafe passed" and label.not_structural:
        score.verdicts["unsafe passed, not structural"] += 1
        return []
    score.verdicts[what] += 1
    if what == "unsafe passed" and is_right(tool, label.true_format, answer.name) is None:
        score.verdicts["unsafe passed, unknown"] += 1
    return [what] if what in ("safe refused", "unsafe passed") else []


def _size(tool: str, label: Labelled, answer: Answer, theirs: Answer, score: Score) -> list[str]:
    """Compare the size with that of qemu-img, if qemu-img detects the right format.

    qemu-img rounds a raw image up to whole sectors; the exact size is right, too.
    """
    if tool == "qemu" or theirs.size is None or is_right("qemu", label.true_format, theirs.name) is not True:
        return []
    rounded = None if answer.size is None else -(-answer.size // SECTOR) * SECTOR
    equal = answer.size == theirs.size or (theirs.name == "raw" and rounded == theirs.size)
    score.sizes["right" if equal else "none" if answer.size is None else "wrong"] += 1
    return [] if equal else [f"size {answer.size}, qemu-img {theirs.size}"]


def _uncaught(answer: Answer, score: Score) -> list[str]:
    score.uncaught += bool(answer.uncaught)
    return [f"uncaught {answer.uncaught}"] if answer.uncaught else []
