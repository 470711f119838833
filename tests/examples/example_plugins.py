"""The plugins of examples/plugins: where they are, and run in this process on bytes that are cut anywhere."""

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
    """The lines of douane.toml that a file of examples/plugins begins with, which are indented by four."""
    text = path.read_text()
    if path.suffix == ".py":
        text = ast.get_docstring(ast.parse(text)) or ""
    kept: list[str] = []
    for line in text[text.index("Synopsis") :].splitlines()[1:]:
        bare = line if path.suffix == ".py" else re.sub(r"^( \*|#) ?", "", line)
        if bare and not bare.startswith("    "):
            break
        kept.append(bare[4:])
    return "\n".join(kept)


def cut(data: bytes, at: Iterable[int] = ()) -> list[bytes]:
    """`data` in pieces that end at the offsets `at`."""
    places = [0, *sorted({place for place in at if 0 < place < len(data)}), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


def result(
    plugin: str, image: bytes | list[bytes] = b"", declared: dict[str, Any] | None = None, **config: Any
) -> Result:
    """``result("clamd:Clamd", image, key=value)``: what the plugin makes of an image, in this process.

    An image in pieces arrives in these.
    """
    name, _, attribute = plugin.partition(":")
    return run(f"{PLUGINS}/{name}.py:{attribute}", image, declared=declared, config=config)


def said(plugin: str, image: bytes | list[bytes] = b"", **more: Any) -> tuple[str, str | None]:
    """Outcome and code of :func:`result`."""
    found = result(plugin, image, **more)
    assert found.outcome in ("accepted", "refused", "incomplete", "deferred")
    return found.outcome, found.code


@dataclass(frozen=True)
class Run:
    """How ``douane check --json`` ended: its exit code, the report, and what the operator was told."""

    code: int
    report: dict[str, Any]
    told: str

    @property
    def says(self) -> tuple[str, str | None]:
        """The outcome and its code."""
        return self.report["outcome"], self.report["code"]

    def verdict(self, plugin: str) -> dict[str, Any]:
        """What one plugin said."""
        [found] = [one for one in self.report["verdicts"] if one["plugin"] == plugin]
        assert isinstance(found, dict)
        return found


Check = Callable[..., Run]
"""The fixture of that name."""
