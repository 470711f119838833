"""Glance's configuration, read as Glance reads it."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from douane.glance.backends import Backend
from douane.glance.settings import Settings

from .points import Area, Point

TRIED = (29, 31, 33)
"""The versions of Glance that Douane's own tests run."""

_AREA = Area("Glance")
_FILES = ("glance-image-import.conf", "glance-api.conf")
_RESERVED = {"os_glance_staging_store": "file", "os_glance_tasks_store": "file"}


@dataclass
class Site:
    """What is known so far; each part of the examination adds to it."""

    conf: Any = None
    """oslo.config's, with all options that the doctor reads."""
    version: int = 0
    files: list[str] = field(default_factory=list)
    is_read: bool = False
    filter_options: dict[str, str] | None = None
    """Of the filter's section in the paste file; None if the pipeline does not have the filter."""
    is_filtered: bool = False
    """True if the filter is in its place."""
    settings: Settings | None = None
    backend: Backend | None = None
    """None if it cannot be used."""
    runs_plugin: bool = False
    """True if Glance runs the import plugin."""

    @property
    def transforms(self) -> bool:
        """True if the plan may change images, as far as that is known."""
        return bool(self.backend is not None and self.backend.transforms)


def find_glance(site: Site, files: tuple[str, ...], dirs: tuple[str, ...]) -> Iterator[Point]:
    """Yield points for Glance, its version and its files; sets `site.conf` and the like."""
    try:
        version = metadata.version("glance")
        import glance
    except (metadata.PackageNotFoundError, ImportError):
        yield _AREA.wrong(
            "installed",
            "there is no Glance in this Python environment",
            "install douane into Glance's environment, with its pip, and run its bin/douane",
        )
        return
    site.version = int(version.partition(".")[0])
    where = os.path.dirname(str(glance.__file__))
    if site.version in TRIED:
        yield _AREA.ok("version", f"{version}, in {where}")
    else:
        tried = ", ".join(map(str, TRIED))
        yield _AREA.advice(
            "version",
            f"{version}, in {where}; Douane is tested with {tried}",
            "test accepted and refused uploads and imports before you rely on it",
        )
    try:
        site.conf, site.files = _read(files, dirs)
    except Exception as error:  # of oslo.config, of an option's type, of a module that Glance could not import either
        yield _AREA.wrong(
            "configuration",
            f"it cannot be read: {error}",
            "name its files with --config-file, its folder with --config-dir, or set OS_GLANCE_CONFIG_DIR as for "
            "Glance",
        )
        return
    site.is_read = True
    yield _AREA.ok("configuration", ", ".join(site.files) or "no file; only defaults")
    yield _user()
    yield from _server(site)


def default_files() -> list[str]:
    """As ``glance.common.wsgi_app`` finds them."""
    folder = Path(os.environ.get("OS_GLANCE_CONFIG_DIR", "/etc/glance").strip())
    return [str(folder / name) for name in _FILES if name == _FILES[-1] or (folder / name).exists()]


def _read(files: tuple[str, ...], dirs: tuple[str, ...]) -> tuple[Any, list[str]]:
    import glance_store
    from glance.async_.flows import _internal_plugins, api_image_import
    from glance.common import config
    from glance.common import wsgi as glance_wsgi  # registers more of them; where, differs between versions
    from oslo_config import cfg

    from glance import housekeeping

    assert all((_internal_plugins, api_image_import, config, glance_wsgi, housekeeping))
    conf = cfg.CONF
    args = [word for file in files for word in ("--config-file", file)]
    args += [word for folder in dirs for word in ("--config-dir", folder)]
    defaults = None if files or dirs else default_files()
    conf(args, project="glance", prog="glance-api", default_config_files=defaults)
    if conf.enabled_backends:
        glance_store.register_store_opts(conf, reserved_stores=_RESERVED)
    else:
        glance_store.register_opts(conf)
    return conf, list(map(str, conf.config_file or ()))


def _user() -> Point:
    uid = os.geteuid()
    try:
        name = getpass.getuser() if uid == os.getuid() else str(uid)
    except (KeyError, OSError):
        name = "without a name"
    fact = f"checked as the user {name} ({uid})"
    if uid == 0:
        return _AREA.advice(
            "user",
            fact,
            "run this as the user that runs Glance: may it read the plan, write the folders, and create sandboxes?",
        )
    return _AREA.ok("user", f"{fact}; it should be the user that runs Glance")


def _server(site: Site) -> Iterator[Point]:
    """The WSGI server cannot be seen from here; but the program glance-api, of before Glance 32, has options."""
    if site.version >= 32:
        return
    options = [name for name in ("bind_host", "bind_port", "workers") if _is_set(site.conf, name)]
    if options:
        yield _AREA.advice(
            "server",
            f"{', '.join(options)}: for the program glance-api, which runs under eventlet; the engine cannot run there",
            "run Glance under uWSGI or mod_wsgi; or run `douane agent`, and set `agent` for the filter",
        )


def _is_set(conf: Any, name: str) -> bool:
    try:
        return str(conf.get_location(name).location.name) not in ("opt_default", "set_default")
    except (AttributeError, ValueError, LookupError):
        return False
