"""The rows as a person reads them, as Markdown for the docs, and as JSON."""

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
    """What the figures depend on."""
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
    """How many processes wanted to run in the last minute, on average (getloadavg(3))."""
    return f"{os.getloadavg()[0]:.1f}"


def cells(row: Row, *, quick: bool) -> tuple[str, ...]:
    """One row's texts, under COLUMNS."""
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
    """Columns, aligned."""
    lines = [COLUMNS, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def as_markdown(rows: Iterable[Sequence[str]]) -> str:
    """The same as a Markdown table."""
    lines = [COLUMNS, ("---", "---:", "---", "---:", "---:", "---"), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_json(row: Row, *, quick: bool) -> dict[str, Any]:
    """All that is known of a row, every sample included."""
    return {
        "what": row.what,
        "ours": row.ours,
        "against": row.against,
        "against_what": row.against_what,
        "unit": row.unit,
        "ratio": row.ratio,
        "most": row.most,
        "least": row.least,
        "ok": row.holds(quick=quick),
        "note": row.note,
        "samples": {name: list(values) for name, values in row.samples.items()},
    }


def _value(value: float, unit: str) -> str:
    text = f"{value:.0f}" if value == int(value) else f"{value:.2f}" if value < 100 else f"{value:.0f}"
    return f"{text} {unit}".rstrip()


def _bound(row: Row) -> str:
    if row.most is not None and row.least is not None:
        return f"{row.least:g} to {row.most:g}"
    if row.most is not None:
        return f"≤ {row.most:g}"
    return "-" if row.least is None else f"≥ {row.least:g}"
