"""Print what a plugin gets for the things that libraries try, in a sandbox of an ordinary user."""

from __future__ import annotations

import json
import sys

from douane import sandbox
from support.sandbox.process import Cell

if __name__ == "__main__":
    tier, *paths = sys.argv[1:]
    with Cell(sandbox.Tier(tier)) as cell:
        print(json.dumps({"outcomes": cell.returned("outcomes.outcomes", paths), "uses": cell.returned("use_files")}))
