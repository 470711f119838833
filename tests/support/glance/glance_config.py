"""The configuration of a Glance, and its glance-api.conf."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .pipeline import FLAVOR, PasteFilter
from .wsgi_servers import Serving, eventlet_options

STORES = ("fast", "second")  # in alphabetical order


@dataclass(frozen=True)
class GlanceConfig:
    """Version, pipeline, plugins and server of a Glance. The defaults are stock Glance with Keystone."""

    version: str = "33"
    filters: tuple[PasteFilter, ...] = ()
    import_plugins: tuple[str, ...] = ()
    serving: Serving = field(default_factory=Serving)
    options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """More options of glance-api.conf, by section."""
    python_path: tuple[Path, ...] = ()
    """Folders with a test's own filters, and with the `*.dist-info` of its import plugins."""
    environment: Mapping[str, str] = field(default_factory=dict)
    flavor: str = FLAVOR


def glance_conf(
    config: GlanceConfig, folder: Path, port: int, database: str, auth_url: str, download_ports: tuple[int, ...]
) -> str:
    """The text of glance-api.conf; all data is below `folder`."""
    plugins = ",".join(config.import_plugins) or "no_op"
    sections: dict[str, dict[str, str]] = {
        "DEFAULT": {
            "enabled_backends": ", ".join(f"{store}:file" for store in STORES),
            "enabled_import_methods": "[glance-direct,web-download,copy-image]",
            "worker_self_reference_url": f"http://127.0.0.1:{port}",
            "debug": "false",
            **eventlet_options(config.serving, port),
        },
        "database": {"connection": database, "max_pool_size": "4", "max_overflow": "4"},
        "glance_store": {"default_backend": STORES[0]},
        **{store: {"filesystem_store_datadir": str(folder / "stores" / store)} for store in STORES},
        "os_glance_staging_store": {"filesystem_store_datadir": str(folder / "staging")},
        "os_glance_tasks_store": {"filesystem_store_datadir": str(folder / "tasks")},
        "paste_deploy": {"flavor": config.flavor, "config_file": str(folder / "glance-api-paste.ini")},
        "keystone_authtoken": {
            "auth_url": auth_url,
            "www_authenticate_uri": auth_url,
            "auth_type": "password",
            "username": "service",
            "password": "secret",
            "project_name": "service",
            "user_domain_id": "default",
            "project_domain_id": "default",
            "service_token_roles_required": "true",
        },
        "oslo_concurrency": {"lock_path": str(folder / "locks")},
        "image_import_opts": {"image_import_plugins": f"[{plugins}]"},
        "import_filtering_opts": {
            "allowed_schemes": "[http]",
            "allowed_hosts": "[127.0.0.1]",
            # Its own, too: with glance-download an image may come from the same Glance.
            "allowed_ports": f"[{','.join(map(str, (*download_ports, port)))}]",
        },
    }
    for section, options in config.options.items():
        sections.setdefault(section, {}).update(options)
    return "\n".join(
        f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in options.items())
        for section, options in sections.items()
    )
