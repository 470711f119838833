"""A filter for Glance's pipeline, behind Douane's: Glance forgets its import plugins as soon as an import is asked for.

So does one whose plugin cannot be loaded any more, and which only says so in its log.
"""

from __future__ import annotations

from typing import Any


def filter_factory(_global_conf: dict[str, str], **_local_conf: str) -> Any:
    """For paste.deploy."""
    return lambda app: lambda environ, start_response: _call(app, environ, start_response)


def _call(app: Any, environ: dict[str, Any], start_response: Any) -> Any:
    if environ["PATH_INFO"].endswith("/import"):
        from oslo_config import cfg

        cfg.CONF.set_override("image_import_plugins", [], group="image_import_opts")
    return app(environ, start_response)
