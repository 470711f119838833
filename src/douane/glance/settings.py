"""What the operator says of Douane inside Glance: in the filter's section of the paste file, or in the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from douane.engine import PlanError

_TIERS = ("full", "strict", "off")
_KNOWN = ("config", "sandbox", "agent", "state", "properties", "again", "imports")


@dataclass(frozen=True)
class Settings:
    """One place's settings, checked as far as they can be without Glance."""

    config: str | None
    """Path of the plan, the same file that ``douane check --config`` takes; None where the agent has it."""

    sandbox: str | None = None
    """A tier, or None for the best there is."""

    agent: str | None = None
    """Path of the agent's socket; None: the engine runs in Glance's worker."""

    state: str | None = None
    """A directory, Glance's alone, where filter and import plugin of one host keep what was inspected."""

    properties: bool = True
    """Whether what plugins found is set on the image, as ``PLUGIN.KEY``; what they propose always is."""

    again: bool = False
    """Whether the import inspects again what the filter has inspected byte for byte when it was staged."""

    imports: bool = True
    """Whether an import is refused for which Glance would not run the import plugin (``imports = guarded``)."""


def read(options: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from `options`; what is not there, from DOUANE_CONFIG, DOUANE_SANDBOX, DOUANE_AGENT, DOUANE_STATE.

    Raises PlanError, which says where to write what.
    """
    unknown = [key for key in options if key not in _KNOWN]
    if unknown:
        raise PlanError(f"the filter douane has no setting {unknown[0]!r}; it has {', '.join(_KNOWN)}")

    def get(key: str) -> str | None:
        return options.get(key) or environ.get(f"DOUANE_{key.upper()}") or None

    def truth(key: str, default: str) -> bool:
        value = (get(key) or default).lower()
        if value not in ("true", "false"):
            raise PlanError(f"{key!r} is true or false, not {value!r}")
        return value == "true"

    imports = (get("imports") or "guarded").lower()
    if imports not in ("guarded", "unguarded"):
        raise PlanError(f"'imports' is guarded or unguarded, not {imports!r}")
    config, sandbox, state = get("config"), get("sandbox"), get("state")
    agent = get("agent")
    if config is None and agent is None:
        raise PlanError(
            "Douane is not told its plan: write 'config = /etc/douane/douane.toml' into the filter's section of "
            "glance-api-paste.ini, or set DOUANE_CONFIG in the environment of Glance"
        )
    if sandbox is not None and sandbox not in _TIERS:
        raise PlanError(f"'sandbox' is one of {', '.join(_TIERS)}, not {sandbox!r}")
    if state is not None and not Path(state).is_dir():
        raise PlanError(f"'state' names {state}, which is no directory; make it, owned by the user that runs Glance")
    properties, again = truth("properties", "true"), truth("again", "false")
    return Settings(config, sandbox, agent, state, properties, again, imports == "guarded")


_told: list[Settings] = []
"""What the filter of this process was told; at most one."""


def tell(settings: Settings) -> None:
    """Let the import plugin in the same process go by the filter's settings: an operator writes them once."""
    _told[:] = [settings]


def of_this_process() -> Settings:
    """The filter's settings; where there is no filter, those of the environment. Raises PlanError."""
    return _told[0] if _told else read({})
