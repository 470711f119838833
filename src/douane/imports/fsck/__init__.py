"""`douane fsck`: the stores against the catalog.

`decisions.py` says what is a fault, and does no I/O; `check.py` reads, and looks at every fault twice, so that it is
harmless beside a running service; `repair.py` does what is safe. `faults.py` has the records.
"""

from .check import Check, CheckOptions
from .faults import Fault, Result, StoreSummary
from .repair import repair

__all__ = ["Check", "CheckOptions", "Fault", "Result", "StoreSummary", "repair"]
