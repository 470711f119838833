"""What the tools said, compared with what the manifests say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .corpus import Labelled
from .names import right
from .tools import Answer

LEAST_DETECTED = 0.99
SECTOR = 512


@dataclass
class Score:
    """One tool's counts."""

    detected: int = 0
    asked: int = 0
    silent: int = 0
    """Of those asked, how many it gave no name for."""
    unknown: int = 0
    """Images of formats that it has no notion of; not among those asked."""
    verdicts: Counter[str] = field(default_factory=Counter)
    """``safe refused``, ``unsafe passed``, ..., and ``... not structural`` for the reviewed exceptions."""
    sizes: Counter[str] = field(default_factory=Counter)
    uncaught: int = 0


@dataclass(frozen=True)
class Disagreement:
    """An image of which the tools, or a tool and the manifest, say different things. `faults` are ours."""

    label: Labelled
    answers: Mapping[str, Answer]
    faults: tuple[str, ...]


@dataclass
class Result:
    """All of it."""

    images: int
    scores: dict[str, Score]
    disagreements: list[Disagreement]

    def missed(self) -> list[str]:
        """The thresholds that Douane misses, each as a sentence."""
        score = self.scores["douane"]
        told = []
        if score.detected < LEAST_DETECTED * score.asked:
            told.append(
                f"{score.detected} of {score.asked} formats were detected, and {LEAST_DETECTED:.0%} is the least"
            )
        for count, what in (
            (score.verdicts["safe refused"], "safe images were refused"),
            (score.verdicts["unsafe passed"], "images with a danger in their structure passed"),
            (score.sizes["wrong"], "sizes differ from qemu-img's"),
            (score.uncaught, "exceptions came out"),
        ):
            if count:
                told.append(f"{count} {what}")
        return told


def judge(labels: Sequence[Labelled], answers: Sequence[Mapping[str, Answer]]) -> Result:
    """Count, tool by tool, and collect what they disagree about."""
    scores = {tool: Score() for tool in answers[0]} if answers else {}
    disagreements = []
    for label, told in zip(labels, answers, strict=True):
        faults: list[str] = []
        differ = False
        for tool, answer in told.items():
            wrong = [
                *_detection(tool, label, answer, scores[tool]),
                *_verdict(tool, label, answer, scores[tool]),
                *_size(tool, label, answer, told["qemu"], scores[tool]),
                *_uncaught(answer, scores[tool]),
            ]
            differ = differ or bool(wrong)
            faults += wrong if tool == "douane" else ()
        if differ:
            disagreements.append(Disagreement(label, told, tuple(faults)))
    return Result(len(labels), scores, disagreements)


def _detection(tool: str, label: Labelled, answer: Answer, score: Score) -> list[str]:
    verdict = right(tool, label.true_format, answer.name)
    if verdict is None:
        score.unknown += 1
        return []
    score.asked += 1
    score.detected += verdict
    score.silent += not answer.name
    return [] if verdict else ["format"]


def _verdict(tool: str, label: Labelled, answer: Answer, score: Score) -> list[str]:
    what = f"{label.verdict} {'passed' if answer.passed else 'refused'}"
    if what == "unsafe passed" and label.not_structural:
        score.verdicts["unsafe passed, not structural"] += 1
        return []
    score.verdicts[what] += 1
    if what == "unsafe passed" and right(tool, label.true_format, answer.name) is None:
        score.verdicts["unsafe passed, unknown"] += 1
    return [what] if what in ("safe refused", "unsafe passed") else []


def _size(tool: str, label: Labelled, answer: Answer, theirs: Answer, score: Score) -> list[str]:
    """Against qemu-img's, where that takes the image for what it is.

    qemu-img counts whole sectors of a raw image, and rounds up; the other's bytes are right then, too.
    """
    if tool == "qemu" or theirs.size is None or right("qemu", label.true_format, theirs.name) is not True:
        return []
    whole = None if answer.size is None else -(-answer.size // SECTOR) * SECTOR
    same = answer.size == theirs.size or (theirs.name == "raw" and whole == theirs.size)
    score.sizes["right" if same else "none" if answer.size is None else "wrong"] += 1
    return [] if same else [f"size {answer.size}, qemu-img {theirs.size}"]


def _uncaught(answer: Answer, score: Score) -> list[str]:
    score.uncaught += bool(answer.uncaught)
    return [f"uncaught {answer.uncaught}"] if answer.uncaught else []
