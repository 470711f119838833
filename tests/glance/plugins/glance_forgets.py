"""A filter behind Douane's: it makes Glance forget its import plugins when an import is requested.

A Glance that can no longer load its plugins behaves the same, with a line in its log.
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
