"""`douane rescan`: stored images against the rules of today.

`decisions.py` says what has to run, and does no I/O; `fingerprints.py` what an inspector judges by; `state.py` keeps
the verdicts; `scan.py` goes over the images of a place (`catalog_place.py`, `glance_place.py`), and `runs.py` runs
inspectors on stored bytes, on findings, or on the documents of an earlier verdict (`again.py`). Transforms never run.
"""

from .places import Entry, Place
from .scan import Rescan, RescanOptions
from .state import State
from .summary import Row, Summary

__all__ = ["Entry", "Place", "Rescan", "RescanOptions", "Row", "State", "Summary"]
