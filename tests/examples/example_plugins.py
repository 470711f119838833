"""The plugins of examples/plugins, and their runs in this process on bytes that are cut anywhere."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from douane_plugin.testing import Result, run

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PLUGINS = EXAMPLES / "plugins"
MIB = 1 << 20
TIERS = ["strict", "full"]


def synopsis(path: Path) -> str:
    """Return the lines of douane.toml at the start of a file of examples/plugins, which are indented by four."""
    text = path.read_text()
    if path.suffix == ".py":
        text = ast.get_docstring(ast.parse(text)) or ""
    lines: list[str] = []
    for line in text[text.index("Synopsis") :].splitlines()[1:]:
        bare = line if path.suffix == ".py" else re.sub(r"^( \*|#) ?", "", line)
        if bare and not bare.startswith("    "):
            break
        lines.append(bare[4:])
    return "\n".join(lines)


def cut(data: bytes, at: Iterable[int] = ()) -> list[bytes]:
    """Return `data` in pieces that end at the offsets `cuts`."""
    offsets = [0, *sorted({offset for offset in at if 0 < offset < len(data)}), len(data)]
    return [data[start:end] for start, end in pairwise(offsets)]


def run_plugin(
    plugin: str, image: bytes | list[bytes] = b"", declared: dict[str, Any] | None = None, **config: Any
) -> Result:
    """Run a plugin in this process: ``run_plugin("clamd:Clamd", image, key=value)``. A list of bytes is a list of
    chunks.
    """
    name, _, attribute = plugin.partition(":")
    return run(f"{PLUGINS}/{name}.py:{attribute}", image, declared=declared, config=config)


def answer_of(plugin: str, image: bytes | list[bytes] = b"", **more: Any) -> tuple[str, str | None]:
    """Return outcome and code of :func:`run_plugin`."""
    result = run_plugin(plugin, image, **more)
    assert result.outcome in ("accepted", "refused", "incomplete", "deferred")
    return result.outcome, result.code


@dataclass(frozen=True)
class Run:
    """A run of ``douane check --json``: its exit code, the report, and standard error."""

    code: int
    report: dict[str, Any]
    stderr: str

    @property
    def answer(self) -> tuple[str, str | None]:
        """The outcome and its code."""
        return self.report["outcome"], self.report["code"]

    def verdict(self, plugin: str) -> dict[str, Any]:
        """Return the verdict of one plugin."""
        [match] = [item for item in self.report["verdicts"] if item["plugin"] == plugin]
        assert isinstance(match, dict)
        return match


Check = Callable[..., Run]
"""The fixture of that name."""
