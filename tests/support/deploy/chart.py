"""The Helm chart, rendered by the real Helm."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

from support.doc_pages import TOP

CHART = TOP / "deploy" / "helm" / "douane"
TOOLS = TOP / ".deploy"
Document = dict[str, Any]


def helm(*words: str) -> subprocess.CompletedProcess[str]:
    """Run Helm, whatever it ends with."""
    return subprocess.run([TOOLS / "bin" / "helm", *words], capture_output=True, text=True, check=False)


def rendered(values: Path | None, *settings: str) -> str:
    """The documents of the chart, as text."""
    options = [] if values is None else ["--values", str(values)]
    ended = helm("template", "site", str(CHART), *options, *settings)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def documents(text: str) -> list[Document]:
    """The documents in this text."""
    return [document for document in yaml.safe_load_all(text) if document is not None]


def of_kind(parts: list[Document], kind: str) -> dict[str, Document]:
    """The documents of a kind, by their names."""
    return {part["metadata"]["name"]: part for part in parts if part["kind"] == kind}


def container(deployment: Document) -> Document:
    """The only container of a deployment's pods."""
    (only,) = deployment["spec"]["template"]["spec"]["containers"]
    return dict(only)
