"""Make a service from the settings of the operator."""

from __future__ import annotations

from pathlib import Path

from douane.catalog import Catalog
from douane.engine.served_plan import ServedPlan
from douane.imports.settings import ServeSettings
from douane.stores import open_store

from .auth import Authenticator, NoAuthentication
from .image_fields import ImageRules
from .service import ApiOptions, Service
from .service_documents import StoreInfo
from .store_set import StoreSet

CATALOG = "catalog.sqlite3"


def make_service(home: Path, settings: ServeSettings, served: ServedPlan) -> Service:
    """The service. Raises DouaneError if the catalog or a store cannot be opened."""
    return Service(
        catalog=Catalog(settings.database or home / CATALOG),
        stores=make_stores(settings),
        authenticator=make_authenticator(settings),
        options=ApiOptions(
            public_endpoint=settings.public_endpoint,
            methods=settings.enabled_methods,
            rules=ImageRules(drop_inherited_findings=settings.show_findings),
            shows_findings=settings.show_findings,
            silence=settings.client_timeout,
        ),
        served=served,
    )


def make_stores(settings: ServeSettings) -> StoreSet:
    """The stores of the settings."""
    infos = {
        name: StoreInfo(
            id=name,
            type=store.url.partition(":")[0],
            description=store.description,
            is_default=name == settings.default_store,
            weight=store.weight,
            properties={"data_dir": store.url.partition(":")[2]},
        )
        for name, store in settings.stores.items()
    }
    return StoreSet(infos, {name: open_store(store.url) for name, store in settings.stores.items()})


def make_authenticator(settings: ServeSettings) -> Authenticator:
    """Keystone, if it is configured."""
    if settings.keystone is None:
        return NoAuthentication(any_host=settings.without_keystone)
    from .keystone import KeystoneAuthentication

    return KeystoneAuthentication(settings.keystone)
