"""The conformance suite: find what authors of plugins get wrong, by many small images in the real sandbox.

`suite.examine` loads the plugin (`loading`) and runs the `checks`: `search` (images and `declarations` that reach the
plugin's code), `repeat`, `cutting`, `growth`, `transforming`; for programs only `programs`. `judge` finds the faults of
single outcomes, `suspects` confirms them, and `minimise` finds the smallest image that shows one. `runner` runs the
cases in `driver_process`; the other side of its conversation is in `caged/`. A new check is a module with a class that
has `check`, and a call in `checks.Checks.run`; a new code of a finding is a line in `findings.MENDS`. `saved` writes
the input of a finding into files, and `again` runs it.
"""

from .again import Again, run_again
from .cases import declare
from .driver_process import NotRun
from .findings import MENDS, Finding, Report, Warned
from .saved import load, save
from .suite import examine

__all__ = ["MENDS", "Again", "Finding", "NotRun", "Report", "Warned", "declare", "examine", "load", "run_again", "save"]
