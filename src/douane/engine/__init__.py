"""One image through one plan: resolve the plan, launch its plugin processes, run the image past them, report.

`inspect.py` has the whole way on one page. `run.py` hands the events of a run to `decisions.py`, which has no I/O, and
executes the actions that it answers; `stage.py` is the state that it decides by, `streams.py` the threads of the run.
`live.py` inspects an image that is sent piece by piece, `warm.py` has plugins wait for an image; `served_plan.py` is a
plan for many images, which `plan_runner.py` lets through it one after the other. `describe.py` and `trial.py` launch
and run one plugin alone. A new kind of event or action is a class in `events.py` or `actions.py`, and a case in
`decisions.py` or `run.py`.
"""

from douane.errors import DouaneError, PlanError, SandboxError, SinkError, SourceError
from douane.host.options import RunOptions
from douane.plan.model import Plan, PluginSpec
from douane.plan.parse import load_plan
from douane.report import Report, Verdict
from douane.stream.push_source import PushSource, RunEnded
from douane.stream.sink import Sink
from douane.stream.source import FileSource, StreamSource, open_source
from douane.stream.target import Target

from .digest_of_plan import plan_digest
from .inspect import can_refuse, choose_tier, inspect_image, probe
from .live import Inspection
from .warm import WarmRun

__all__ = [
    "DouaneError",
    "FileSource",
    "Inspection",
    "Plan",
    "PlanError",
    "PluginSpec",
    "PushSource",
    "Report",
    "RunEnded",
    "RunOptions",
    "SandboxError",
    "Sink",
    "SinkError",
    "SourceError",
    "StreamSource",
    "Target",
    "Verdict",
    "WarmRun",
    "can_refuse",
    "choose_tier",
    "inspect_image",
    "load_plan",
    "open_source",
    "plan_digest",
    "probe",
]
