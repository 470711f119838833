"""The settings of `douane serve`: the table ``[serve]`` of the configuration file, as frozen structs."""

from __future__ import annotations

import os
from typing import Annotated, Literal, get_args

import msgspec

from douane.errors import PlanError
from douane.stores.base import OPTIONS
from douane.units import MiB

from .values import Address, Duration, FilePath, HostRule, Size

ServedMethod = Literal["glance-direct", "web-download", "copy-image"]
SERVED_METHODS: tuple[str, ...] = get_args(ServedMethod)

_HOUR = 3600.0


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[serve.stores.NAME]``: a store that clients know as NAME."""

    url: str
    """As :func:`douane.stores.open_store` takes it."""

    description: str = ""
    default: bool = False
    """The store of an import that names none."""

    weight: int = 0
    """Heavier stores are listed first."""

    ceph_conf: FilePath | None = None
    """``rbd:``. These have the defaults of :class:`douane.stores.rbd.RbdOptions`."""

    user: str | None = None
    keyring: FilePath | None = None
    chunk_size: Size | None = None
    python: FilePath | None = None
    timeout: Duration | None = None
    processes: int | None = None

    endpoint: str | None = None
    """``s3:``. These have the defaults of :class:`douane.stores.s3.options.S3Options`."""

    region: str | None = None
    credentials_file: FilePath | None = None
    ca_file: FilePath | None = None
    path_style: bool | None = None
    unsigned_payload: bool | None = None
    connect_timeout: Duration | None = None
    retries: int | None = None

    @property
    def options(self) -> dict[str, object]:
        """The options of this kind of store, as far as they are set."""
        names = sorted({name for names in OPTIONS.values() for name in names})
        plain = {name: _plain(getattr(self, name)) for name in names}
        return {name: value for name, value in plain.items() if value is not None}


def _plain(value: object) -> object:
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


class QuotaSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[serve.quota]``: what each project may have; None: no limit."""

    image_count: int | None = None
    image_size_total: Size | None = None
    image_stage_total: Size | None = None
    image_count_uploading: int | None = None


class KeystoneSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[serve.keystone]``: the identity service, and the user as whom Douane asks it about tokens."""

    auth_url: str
    username: str
    password_file: FilePath
    project: str = "service"
    user_domain: str = "Default"
    project_domain: str = "Default"
    region: str | None = None
    www_authenticate_uri: str | None = None
    """The URL that clients without a token are sent to; None: `auth_url`."""

    ca_file: FilePath | None = None
    cache: Duration = Duration(300)
    """How long an answer about a token is believed."""

    timeout: Duration = Duration(10)

    def password(self) -> str:
        """The text of `password_file`, without the end of its line. Raises PlanError."""
        try:
            with open(self.password_file, encoding="utf-8") as file:
                return file.read().rstrip("\r\n")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise PlanError(f"[serve.keystone] password_file {self.password_file} cannot be read: {reason}") from error


class WebDownloadSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[serve.web_download]``: where the import method web-download may get images, and how long it may take."""

    allow: tuple[HostRule, ...] = ()
    """Only these hosts and addresses. Empty: every public address. An address or network that is listed here may also
    be private."""

    deny: tuple[HostRule, ...] = ()
    """Not these, whatever `allow` says."""

    private: bool = False
    """Also addresses that are not public: private, loopback, link-local, ...."""

    schemes: tuple[Literal["https", "http"], ...] = ("https", "http")
    ports: tuple[int, ...] = (443, 80)
    credentials: bool = False
    """Accept URLs with a user and a password."""

    proxy: str | None = None
    """The URL of an HTTP proxy. It resolves the names, so Douane can check only names."""

    ca_file: FilePath | None = None
    max_size: Size | None = None
    """None: `max_image_size`."""

    timeout: Duration = Duration(6 * _HOUR)
    """For the download as a whole, with all its attempts."""

    connect_timeout: Duration = Duration(10)
    stall: Duration = Duration(30)
    """Time without a byte after which a connection counts as broken."""

    min_rate: Size = Size(16 * 1024)
    """Bytes in a second, on average over a minute."""

    attempts: int = 5
    """Connections in a row that bring no byte, until the download fails."""

    redirects: int = 5
    probe_timeout: Duration = Duration(5)
    """For the look at the URL before the import is accepted."""


class ServeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[serve]``."""

    listen: Address = Address("127.0.0.1:9292")
    workers: int | None = None
    """Imports that run at once; None: one for each processor. 0: workers of other machines run them."""

    public_endpoint: str | None = None
    database: str | None = None
    """The URL of the catalog; None: SQLite in the home directory."""

    notify: bool = True
    """Let PostgreSQL wake idle workers, by a connection of its own for each."""

    without_keystone: bool = False
    """Serve on an address that others can reach, though every client is an administrator."""

    foreign_locations: Literal["deny", "allow"] = "deny"
    """Register locations that no store of this service has, uninspected, and those that are another image's bytes."""

    enabled_methods: tuple[ServedMethod, ...] = ("glance-direct", "web-download", "copy-image")
    refuse_at_stage: bool = False
    show_findings: bool = False
    stage_stores: Annotated[
        Literal["all"] | tuple[str, ...], msgspec.Meta(description="a list of stores, or 'all'")
    ] = ()
    """The stores that staged bytes are written into as they come; empty: the default store."""

    max_image_size: Size = Size(1024 * 1024 * MiB)
    staged_expiry: Duration = Duration(24 * _HOUR)
    task_expiry: Duration = Duration(48 * _HOUR)
    client_timeout: Duration = Duration(60)
    """A client that sends nothing for so long, in the middle of a request, is dropped."""

    grace: Duration = Duration(60)
    stores: dict[str, StoreSettings] = {}
    quota: QuotaSettings = QuotaSettings()
    keystone: KeystoneSettings | None = None
    web_download: WebDownloadSettings = WebDownloadSettings()

    @property
    def worker_count(self) -> int:
        """Imports that run at once."""
        return len(os.sched_getaffinity(0)) if self.workers is None else self.workers

    @property
    def default_store(self) -> str:
        """The id of the store of an import that names none."""
        return next((name for name, store in self.stores.items() if store.default), next(iter(self.stores)))

    @property
    def staging_stores(self) -> tuple[str, ...]:
        """The ids in `stage_stores`, or of all stores."""
        return tuple(self.stores) if self.stage_stores == "all" else self.stage_stores

    @property
    def store_order(self) -> tuple[str, ...]:
        """The ids of the stores as lists show them: the heaviest first, then by name."""
        return tuple(sorted(self.stores, key=lambda name: (-self.stores[name].weight, name)))
