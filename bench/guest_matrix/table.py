"""The result as text, as Markdown for the documents, and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from .check import EQUAL, KERNEL, NOT_BUILT, PACKED, REPORTED, SILENT, Outcome
from .facts import MAX_LISTED
from .run import FILE_SYSTEMS, PARTS, STACKS, SYSTEMS, UNCLEAN, VOLUME_DRIVERS, Result

Rows = list[tuple[str, ...]]
HEAD = (
    "images",
    "equal",
    "reported",
    "silent differences",
    "not built",
    "entries",
    "compared with the kernel",
    "with another program",
)
STATES = (EQUAL, REPORTED, SILENT, NOT_BUILT)
TITLES = {
    FILE_SYSTEMS: "File systems in a raw image",
    STACKS: "Containers",
    VOLUME_DRIVERS: "Volume groups and arrays, as the drivers of the second kernel assemble them",
    UNCLEAN: "Unclean images",
    SYSTEMS: "Systems and their packages",
}


def tables(results: Sequence[Result]) -> list[tuple[str, Rows]]:
    """A title and rows, the head first, for each part; for the stacks also tables by volumes."""
    parts = []
    for part in PARTS:
        chosen = [result for result in results if result.part == part]
        if chosen:
            parts.append((TITLES[part], [("", *HEAD), *_rows(chosen)]))
        if part == STACKS and chosen:
            parts.append(("Tables and volumes: images that are equal, of those that were built", _grid(chosen, 2, 1)))
            parts.append(("Containers and file systems: the same", _grid(chosen, 0, 3)))
    return parts


def _rows(results: Sequence[Result]) -> Iterable[tuple[str, ...]]:
    for row in [*dict.fromkeys(result.row for result in results), ""]:
        chosen = [result for result in results if row in ("", result.row)]
        states = Counter(result.outcome.status for result in chosen)
        yield (
            row or "all",
            str(len(chosen)),
            *(str(states[state]) for state in STATES),
            f"{sum(result.outcome.entries for result in chosen):,}",
            str(sum(any(is_of_kernel(truth) for truth in truths_of(result)) for result in chosen)),
            str(sum(any(is_of_program(truth) for truth in truths_of(result)) for result in chosen)),
        )


def truths_of(result: Result) -> set[str]:
    """What it was compared with."""
    return set(result.outcome.truth.split(" and ")) - {""}


def is_of_kernel(truth: str) -> bool:
    """True for what the machine's kernel shows, at once or after its replay."""
    return truth.startswith(KERNEL)


def is_of_program(truth: str) -> bool:
    """True for what another program shows."""
    return not is_of_kernel(truth) and truth != PACKED


def _grid(results: Sequence[Result], row_column: int, head_column: int) -> Rows:
    heads = list(dict.fromkeys(result.key[head_column] for result in results))
    grid: Rows = [("", *heads)]
    for row in dict.fromkeys(result.key[row_column] for result in results):
        cells = []
        for head in heads:
            outcomes = [r.outcome for r in results if (r.key[row_column], r.key[head_column]) == (row, head)]
            built = [outcome for outcome in outcomes if outcome.status != NOT_BUILT]
            equal = sum(outcome.status == EQUAL for outcome in built)
            cells.append(f"{equal} of {len(built)}" if built else "-")
        grid.append((row, *cells))
    return grid


def reasons(results: Iterable[Result]) -> list[str]:
    """Why cells were not built, each reason once."""
    names: dict[str, list[str]] = {}
    for result in results:
        if result.outcome.status == NOT_BUILT:
            names.setdefault(result.outcome.reason, []).append(result.name)
    lines = []
    for reason, cells in names.items():
        more = f" and {len(cells) - 3} more" if len(cells) > 3 else ""
        lines.append(f"{', '.join(cells[:3])}{more}: {reason}")
    return lines


def as_text(results: Sequence[Result]) -> str:
    """Aligned columns."""
    text = []
    for title, rows in tables(results):
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
        text += [f"\n{title}", *lines]
    return "\n".join([*text, *(f"not built: {reason}" for reason in reasons(results))])


def as_markdown(results: Sequence[Result]) -> str:
    """Tables for the documents."""
    text = []
    for title, rows in tables(results):
        with_rule = [rows[0], ("---", *["---:"] * (len(rows[0]) - 1)), *rows[1:]]
        text += [f"### {title}", "", *(f"| {' | '.join(row)} |" for row in with_rule), ""]
    text += ["### Not built", "", *(f"- {reason}" for reason in reasons(results)), ""]
    return "\n".join(text)


def fault(result: Result) -> str:
    """A few lines about a cell that is not as it should be."""
    outcome = result.outcome
    lines = [f"WRONG: {result.part}: {result.name}: {outcome.status}, and should be {result.expects}"]
    lines += [f"    {line}" for line in outcome.differences[:MAX_LISTED]]
    lines += [f"    unread: {line}" for line in outcome.unread[:MAX_LISTED]]
    return "\n".join(lines)


BEGIN, END = "<!-- begin: python -m bench.guest_matrix -->\n", "<!-- end -->"


def in_page(page: str, results: Sequence[Result]) -> str:
    """The text of a page with the tables between the two marks in it."""
    head, rest = page.split(BEGIN)
    return head + BEGIN + as_markdown(results) + END + rest.split(END, 1)[1]


COLUMNS = ("part", "name", "row", "key", "expects", "status", "truth", "entries", "reason")


def as_tsv(results: Iterable[Result]) -> str:
    """A line for each result, without its differences: what is kept in the repository."""
    lines = ["\t".join(COLUMNS)]
    for result in results:
        outcome = result.outcome
        cells = [result.part, result.name, result.row, "|".join(result.key), result.expects]
        cells += [outcome.status, outcome.truth, str(outcome.entries), outcome.reason.replace("\t", " ")]
        lines.append("\t".join(cells))
    return "\n".join(lines) + "\n"


def from_tsv(text: str) -> list[Result]:
    """The results that `as_tsv` wrote."""
    results = []
    for line in text.splitlines()[1:]:
        part, name, row, key, expects, status, truth, entries, reason = line.split("\t")
        outcome = Outcome(status, truth, int(entries), reason=reason)
        results.append(Result(part, name, row, tuple(key.split("|")) if key else (), expects, outcome))
    return results
