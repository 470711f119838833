"""The settings of Douane inside Glance: from the filter's section of the paste file, or from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from douane.errors import PlanError
from douane.own_folders import register

from .proof.key import read_key

_TIERS = ("full", "strict", "off")
NAMES = ("config", "sandbox", "agent", "state", "properties", "again", "imports", "key", "summaries", "bills")
"""Names of the settings; in the environment ``DOUANE_CONFIG`` and so on."""


@dataclass(frozen=True)
class Settings:
    """The settings of one process, checked as far as possible without Glance."""

    config: str | None
    """Path of the plan, the file that ``douane check --config`` takes; None if the agent has the plan."""

    sandbox: str | None = None
    """A tier, or None for the best that this host supports."""

    agent: str | None = None
    """Path of the agent's socket; None: the engine runs in Glance's worker."""

    state: str | None = None
    """A folder that only Glance may write, for the attestations of this host; None: every import inspects again."""

    properties: bool = True
    """Whether to set the plugins' properties on the image, as ``PLUGIN.KEY``. Proposed properties are always set."""

    again: bool = False
    """Whether the import inspects staged data again though the filter has inspected the same bytes."""

    guard_imports: bool = True
    """Whether to refuse imports for which Glance would not run the import plugin (``imports = guarded``)."""

    key: str | None = None
    """A file with the key of the proofs that Douane sets on accepted images; None: no proofs."""

    summaries: str | None = None
    """A folder for the signed summaries of accepted images, if the plan has ``[evidence]``."""

    bills: str | None = None
    """A folder for their bills of materials, beside summaries; it may be the same."""

    def read_key(self) -> bytes | None:
        """The key of the proofs, if there is one. Raises PlanError."""
        return read_key(self.key) if self.key is not None else None


def read_settings(options: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from `options`, with the environment's ``DOUANE_*`` for those that are missing.

    Raises PlanError, which says what to write where.
    """
    unknown = [key for key in options if key not in NAMES]
    if unknown:
        raise PlanError(f"the filter douane has no setting {unknown[0]!r}; its settings are {', '.join(NAMES)}")

    def get(key: str) -> str | None:
        return options.get(key) or environ.get(f"DOUANE_{key.upper()}") or None

    def boolean(key: str, default: str) -> bool:
        value = (get(key) or default).lower()
        if value not in ("true", "false"):
            raise PlanError(f"{key!r} is true or false, not {value!r}")
        return value == "true"

    imports = (get("imports") or "guarded").lower()
    if imports not in ("guarded", "unguarded"):
        raise PlanError(f"'imports' is guarded or unguarded, not {imports!r}")
    config, sandbox, agent, state = get("config"), get("sandbox"), get("agent"), get("state")
    if config is None and agent is None:
        raise PlanError(
            "Douane has no plan: write 'config = /etc/douane/douane.toml' into the filter's section of "
            "glance-api-paste.ini, or set DOUANE_CONFIG in the environment of Glance"
        )
    if sandbox is not None and sandbox not in _TIERS:
        raise PlanError(f"'sandbox' is one of {', '.join(_TIERS)}, not {sandbox!r}")
    if state is not None and not Path(state).is_dir():
        raise PlanError(f"'state' names {state}, which is no directory; make it, owned by the user that runs Glance")
    if state is not None:
        register(state)
    summaries, bills = _folder("summaries", get("summaries")), _folder("bills", get("bills"))
    if bills is not None and summaries is None:
        raise PlanError(
            "'bills' names a folder for bills of materials, but 'summaries' none for the signed summaries that vouch "
            "for the images: set both, and write [evidence] into the plan"
        )
    properties, again = boolean("properties", "true"), boolean("again", "false")
    settings = Settings(
        config, sandbox, agent, state, properties, again, imports == "guarded", get("key"), summaries, bills
    )
    settings.read_key()
    return settings


def _folder(name: str, path: str | None) -> str | None:
    """Raises PlanError if nobody can write there."""
    if path is not None and not (Path(path).is_dir() and os.access(path, os.W_OK | os.X_OK)):
        raise PlanError(
            f"{name!r} names {path}, which is no folder that can be written; make it, owned by the user that runs "
            "Glance"
        )
    return path


_shared: list[Settings] = []
"""The settings of this process's filter; at most one."""


def share(settings: Settings) -> None:
    """Make the filter's settings those of the import plugin in the same process, so that they are written once."""
    _shared[:] = [settings]


def process_settings() -> Settings:
    """The filter's settings, or those of the environment if this process has no filter. Raises PlanError."""
    return _shared[0] if _shared else read_settings({})
