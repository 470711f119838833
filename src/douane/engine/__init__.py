"""The engine: a plan, one pass over an image's bytes, verdicts, and a report."""

from .errors import DouaneError, PlanError, SinkError, SourceError
from .inspection import Inspection
from .plan import Plan, PluginSpec, load_plan
from .pushed import PassEnded, PushedSource
from .readers import Sink
from .report import Report, Verdict
from .run import SandboxFailed, choose_tier, inspect_image, plan_digest, probe
from .source import FileSource, StreamSource, open_source
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
    "SandboxFailed",
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
