"""The engine: a plan, one pass over an image's bytes, verdicts, and a report."""

from douane.errors import DouaneError, PlanError, SandboxError, SinkError, SourceError
from douane.plan.plan import Plan, PluginSpec, load_plan
from douane.report import Report, Verdict
from douane.stream.push_source import PassEnded, PushedSource
from douane.stream.sink import Sink
from douane.stream.source import FileSource, StreamSource, open_source

from .inspect import choose_tier, inspect_image, plan_digest, probe
from .live import Inspection
from .warm import WarmPass

__all__ = [
    "DouaneError",
    "FileSource",
    "Inspection",
    "PassEnded",
    "Plan",
    "PlanError",
    "PluginSpec",
    "PushedSource",
    "Report",
    "SandboxError",
    "Sink",
    "SinkError",
    "SourceError",
    "StreamSource",
    "Verdict",
    "WarmPass",
    "choose_tier",
    "inspect_image",
    "load_plan",
    "open_source",
    "plan_digest",
    "probe",
]
