"""What the settings of `douane serve` must be, beyond their types."""

from __future__ import annotations

from urllib.parse import urlsplit

from douane.errors import PlanError

from .structs import ServeSettings

DEFAULT_STORE = "file"
"""The id of the only store, if the file names none."""

DATABASES = ("postgresql", "mysql", "mariadb", "sqlite")

MAX_WORKERS = 1024
MAX_ATTEMPTS = 100
MAX_WEIGHT = 1_000_000
MAX_COUNT = 2**31 - 1
MAX_PORT = 65_535


def check_settings(settings: ServeSettings, where: str) -> None:
    """Raise PlanError, which names the wrong setting of the document `where`."""
    for path, value, minimum, maximum in _numbers(settings):
        if value is not None and not minimum <= value <= maximum:
            raise PlanError(f"{where}: {path} is wrong: expected {minimum} to {maximum}, got {value}")
    for path, url, schemes in _urls(settings):
        if url is not None and not _is_url(url, schemes):
            kinds = " or ".join(f"{scheme}://" for scheme in schemes)
            raise PlanError(f"{where}: {path} is wrong: expected a URL that begins with {kinds}, and has a host")
    for path, values in (
        ("[serve] 'enabled_methods'", settings.enabled_methods),
        ("[serve] 'stage_stores'", () if settings.stage_stores == "all" else settings.stage_stores),
        ("[serve.web_download] 'schemes'", settings.web_download.schemes),
        ("[serve.web_download] 'ports'", settings.web_download.ports),
    ):
        if len(set(values)) != len(values):
            raise PlanError(f"{where}: {path} is wrong: a value is listed twice")
    for name in ("schemes", "ports"):
        if not getattr(settings.web_download, name):
            raise PlanError(
                f"{where}: [serve.web_download] {name!r} is empty, so nothing could be downloaded; to switch the "
                "method off, leave it out of [serve] enabled_methods"
            )
    _check_database(settings.database, where)
    _check_default_store(settings, where)
    _check_stage_stores(settings, where)


def _check_database(url: str | None, where: str) -> None:
    """A database that no catalog can be in is a wrong setting, and not a server that may come back."""
    if url is None:
        return
    scheme, colon, _ = url.partition("://")
    if not colon or scheme.partition("+")[0] not in DATABASES:
        # Without the URL, which may have a password.
        raise PlanError(
            f"{where}: [serve] 'database' is wrong: expected a URL that begins with postgresql://, mysql:// or "
            "mariadb://, such as postgresql://HOST/DATABASE"
        )


def _check_stage_stores(settings: ServeSettings, where: str) -> None:
    if settings.stage_stores == "all":
        return
    names = tuple(settings.stores) or (DEFAULT_STORE,)
    for name in settings.stage_stores:
        if name not in names:
            raise PlanError(
                f"{where}: [serve] 'stage_stores' is wrong: there is no store {name!r:.80}; the stores are: "
                f"{', '.join(names)}"
            )


def _check_default_store(settings: ServeSettings, where: str) -> None:
    defaults = [name for name, store in settings.stores.items() if store.default]
    if len(defaults) > 1:
        raise PlanError(f"{where}: [serve.stores] two stores have default = true: {defaults[0]} and {defaults[1]}")
    if len(settings.stores) > 1 and not defaults:
        raise PlanError(
            f"{where}: [serve.stores] no store has default = true; write it in the table of the store for imports that "
            "name none"
        )
    urls: dict[str, str] = {}
    for name, store in settings.stores.items():
        if store.url in urls:
            raise PlanError(f"{where}: [serve.stores] {urls[store.url]} and {name} are the same place")
        urls[store.url] = name


def _numbers(settings: ServeSettings) -> list[tuple[str, int | None, int, int]]:
    """Each integer that has bounds: its name, its value, the least and the greatest."""
    download, quota = settings.web_download, settings.quota
    return [
        ("[serve] 'workers'", settings.workers, 0, MAX_WORKERS),
        ("[serve.quota] 'image_count'", quota.image_count, 0, MAX_COUNT),
        ("[serve.quota] 'image_count_uploading'", quota.image_count_uploading, 0, MAX_COUNT),
        ("[serve.web_download] 'attempts'", download.attempts, 1, MAX_ATTEMPTS),
        ("[serve.web_download] 'redirects'", download.redirects, 0, MAX_ATTEMPTS),
        *(("[serve.web_download] 'ports'", port, 1, MAX_PORT) for port in download.ports),
        *(
            (f"[serve.stores.{name}] 'retries'", store.retries, 0, MAX_ATTEMPTS)
            for name, store in settings.stores.items()
        ),
        *(
            (f"[serve.stores.{name}] 'weight'", store.weight, -MAX_WEIGHT, MAX_WEIGHT)
            for name, store in settings.stores.items()
        ),
    ]


def _urls(settings: ServeSettings) -> list[tuple[str, str | None, tuple[str, ...]]]:
    """Each URL: its name, its value, and the schemes that it may have."""
    web = ("http", "https")
    urls: list[tuple[str, str | None, tuple[str, ...]]] = [
        ("[serve] 'public_endpoint'", settings.public_endpoint, web),
        ("[serve.web_download] 'proxy'", settings.web_download.proxy, ("http",)),
    ]
    urls += [(f"[serve.stores.{name}] 'endpoint'", store.endpoint, web) for name, store in settings.stores.items()]
    if settings.keystone is not None:
        urls += [
            ("[serve.keystone] 'auth_url'", settings.keystone.auth_url, web),
            ("[serve.keystone] 'www_authenticate_uri'", settings.keystone.www_authenticate_uri, web),
        ]
    return urls


def _is_url(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
