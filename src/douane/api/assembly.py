"""Make a service from the settings of the operator."""

from __future__ import annotations

from pathlib import Path

from douane.catalog import Catalog
from douane.catalog.query import UploadQuotas
from douane.engine.served_plan import ServedPlan
from douane.imports.service_file import DOORS, NO_IMPORTS, RUN, WAKE
from douane.imports.service_stores import open_stores
from douane.imports.settings import ServeSettings

from .identity.auth import Authenticator, NoAuthentication
from .requests.image_fields import ImageRules
from .service import ApiOptions, Service
from .transfer.uploads import UploadPlace

CATALOG = "catalog.sqlite3"


def make_service(
    home: Path, settings: ServeSettings, served: ServedPlan, name: str = "door", *, is_checked: bool = False
) -> Service:
    """The service; `name` is that of this process, as the holder of tasks. `is_checked`: the supervisor has made one.

    Raises DouaneError if the catalog or a store cannot be opened.
    """
    catalog = Catalog(settings.database or home / CATALOG, is_checked=is_checked)
    stores = open_stores(settings, catalog, is_checked=is_checked)
    run = home / RUN
    quota = settings.quota
    return Service(
        catalog=catalog,
        stores=stores,
        authenticator=make_authenticator(settings),
        options=ApiOptions(
            public_endpoint=settings.public_endpoint,
            methods=settings.enabled_methods,
            rules=ImageRules(drop_inherited_findings=settings.show_findings),
            shows_findings=settings.show_findings,
            silence=settings.client_timeout,
            image_count=quota.image_count,
            upload_quotas=UploadQuotas(
                uploading=quota.image_count_uploading,
                size_total=quota.image_size_total,
                staged_total=quota.image_stage_total,
            ),
            staging_stores=settings.staging_stores,
            max_image_size=settings.max_image_size,
            open_seconds=settings.staged_expiry,
            task_expiry=settings.task_expiry,
        ),
        served=served,
        settings=settings,
        stop_file=run / NO_IMPORTS,
        place=UploadPlace(
            holder=name,
            workers=run / DOORS,
            wake=run / WAKE,
            store=stores.default.store,
            store_id=stores.default.id,
        ),
    )


def make_authenticator(settings: ServeSettings) -> Authenticator:
    """Keystone, if it is configured."""
    if settings.keystone is None:
        return NoAuthentication(any_host=settings.without_keystone)
    from .identity.keystone import KeystoneAuthentication

    return KeystoneAuthentication(settings.keystone)
