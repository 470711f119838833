"""What `douane check --json` puts out, without the values: the keys, and the types of what they hold."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.contract.conversation import LEVEL1, PLUGINS, image

RECORDED = LEVEL1 / "reports.json"
TEXT = {"text": "forbidden text"}
CASES: dict[str, dict[str, Any]] = {
    "accepted": {"plugin": "chunks.py:Chunks"},
    "warned": {"plugin": "declared.py:Declared"},
    "transformed": {"plugin": "transforms.py:Invert"},
    "refused": {"plugin": "windows.py:Windows", "plan": {"config": TEXT}, "image": [{"hex": b"forbidden text".hex()}]},
    "audited": {"plugin": "windows.py:Windows", "plan": {"config": TEXT, "mode": "audit"}},
    "proposed": {"plugin": "findings.py:Findings", "plan": {"may_set": ["*"]}},
    "deferred": {"plugin": "answers.py:Answers", "plan": {"config": {"answer": "defer"}}},
    "failed": {"plugin": "answers.py:Answers", "plan": {"config": {"answer": "crash"}}},
    "incomplete": {"plugin": "answers.py:Answers", "plan": {"config": {"answer": "incomplete"}}},
    "misconfigured": {"plugin": "windows.py:Windows", "plan": {"config": {"text": 5}}},
    "no-such-file": {"plugin": "chunks.py:Chunks", "absent": True},
}


def check(case: dict[str, Any], place: Path) -> tuple[int, Any]:
    """Run the command as `case` says: its exit code, and the shape of its report."""
    (place / "image").write_bytes(image(case.get("image", [{"hex": "00112233", "times": 1000}])))
    table = {"name": "recorded", "use": f"{PLUGINS}/{case['plugin']}", **case.get("plan", {})}
    config = table.pop("config", {})
    lines = ["[[plugin]]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    lines += ["[plugin.config]", *(f"{key} = {json.dumps(value)}" for key, value in config.items())]
    (place / "plan.toml").write_text("\n".join(lines))
    file = place / ("absent" if case.get("absent") else "image")
    words = ["--config", str(place / "plan.toml"), "--sandbox", "strict", "--json"]
    douane = str(Path(sys.executable).parent / "douane")
    ended = subprocess.run([douane, "check", str(file), *words], capture_output=True, check=False)
    return ended.returncode, shape(json.loads(ended.stdout))


def shape(value: Any) -> Any:
    """The types of a JSON value; of a list that of its first item."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value[:1]]
    return {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}[type(value)]
