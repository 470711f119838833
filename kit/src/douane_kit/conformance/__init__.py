"""The conformance suite: puts a plugin through what real plugins get wrong, in the real cage.

Of a plugin it says what is wrong, the smallest image that shows it, and how to mend it (:func:`examine`).
"""

from .driver_process import NotRun
from .findings import MENDS, Finding, Report
from .suite import examine

__all__ = ["MENDS", "Finding", "NotRun", "Report", "examine"]
