"""The rows as text, as Markdown for the documents, and as JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .harness import Row
from .workspace import file_system

COLUMNS = ("what", "ours", "against", "ratio", "bound", "ok?")


def machine(directory: Path) -> dict[str, str]:
    """The facts about the machine that the figures depend on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{model}, {os.cpu_count()} cores",
        "memory": f"{memory / (1 << 30):.1f} GiB",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "file system": file_system(directory),
    }


def load() -> str:
    """The average number of runnable processes in the last minute (getloadavg(3))."""
    return f"{os.getloadavg()[0]:.1f}"


def cells(row: Row, *, quick: bool) -> tuple[str, ...]:
    """The texts of a row, in the order of COLUMNS."""
    holds = row.holds(quick=quick)
    return (
        row.what,
        _value(row.ours, row.unit),
        f"{_value(row.against, row.unit)} ({row.against_what})",
        f"{row.ratio:.3f}",
        _bound(row),
        {True: "yes", False: "NO", None: "-"}[holds],
    )


def as_text(rows: Iterable[Sequence[str]]) -> str:
    """Aligned columns."""
    lines = [COLUMNS, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def as_markdown(rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [COLUMNS, ("---", "---:", "---", "---:", "---:", "---"), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_json(row: Row, *, quick: bool) -> dict[str, Any]:
    """A row with every sample."""
    return {
        "what": row.what,
        "ours": row.ours,
        "against": row.against,
        "against_what": row.against_what,
        "unit": row.unit,
        "ratio": row.ratio,
        "most": row.max_ratio,
        "least": row.min_ratio,
        "ok": row.holds(quick=quick),
        "note": row.note,
        "samples": {name: list(values) for name, values in row.samples.items()},
    }


def _value(value: float, unit: str) -> str:
    text = f"{value:.0f}" if value == int(value) else f"{value:.2f}" if value < 100 else f"{value:.0f}"
    return f"{text} {unit}".rstrip()


def _bound(row: Row) -> str:
    if row.max_ratio is not None and row.min_ratio is not None:
        return f"{row.min_ratio:g} to {row.max_ratio:g}"
    if row.max_ratio is not None:
        return f"≤ {row.max_ratio:g}"
    return "-" if row.min_ratio is None else f"≥ {row.min_ratio:g}"
