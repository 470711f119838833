"""Delete what an upload or an import left of an image in Glance's stores, with the stores' own drivers.

Glance deletes what it has recorded, and a driver deletes what it has begun to write, unless it is killed. So this is
about a killed Glance, and about S3: its driver leaves the parts of an upload (a "multipart upload") if the image cannot
be read to its end, which is so for a refused image, and for a client that hangs up.

For a store of another kind, write a function that takes the driver and the image's id, and name it in ``_DELETE``.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

log = logging.getLogger("douane")


def delete_stored(store: str, image: str) -> None:
    """Delete all that `store` has of `image`, which no record leads to: with it, the store would refuse the image.

    Raises what the driver raises: an image in a Ceph is busy for half a minute after its writer was killed.
    """
    delete = _DELETE.get(_kind(store))
    if delete is None:
        log.warning("store %s is of the kind %s: if it has a part of image %s, it stays", store, _kind(store), image)
    else:
        delete(_driver(store), image)


def end_unfinished_uploads(image: str) -> None:
    """End the unfinished uploads of `image` into S3 stores, whose parts would stay, and be paid for. Raises nothing."""
    try:
        stores = [store for store in store_names() if _kind(store) == "s3"]
    except ImportError:
        return  # outside of Glance
    for store in stores:
        try:
            driver = _driver(store)
            _end_uploads(driver, driver._create_s3_client(), image)
        except Exception as error:  # whatever boto3 raises: the image is not stored, and that is what counts
            log.error(
                "store %s: parts of image %.80r may stay in the bucket: %r; a life-cycle rule of the bucket ends them "
                "(AbortIncompleteMultipartUpload)",
                *(store, image, error),
            )


def store_names() -> list[str]:
    """The stores that images are kept in, without those that Glance reserves for itself."""
    return [store for store in _backends() if not store.startswith("os_glance")]


def _backends() -> dict[str, str]:
    from glance.housekeeping import CONF

    return dict(CONF.enabled_backends or {})


def _kind(store: str) -> str:
    return _backends().get(store, "")


def _driver(store: str) -> Any:
    import glance_store

    return glance_store.get_store_from_store_identifier(store)


def _delete_file(driver: Any, image: str) -> None:
    folders = [driver.datadir] if getattr(driver, "datadir", None) else []
    for group in getattr(driver, "priority_data_map", {}).values():
        folders += group
    for folder in folders:
        with contextlib.suppress(FileNotFoundError):
            (Path(folder) / image).unlink()


def _delete_object(driver: Any, image: str) -> None:
    client = driver._create_s3_client()
    _end_uploads(driver, client, image)
    client.delete_object(Bucket=driver.bucket, Key=image)  # no error if there is none


def _end_uploads(driver: Any, client: Any, image: str) -> None:
    pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=driver.bucket, Prefix=image)
    uploads = [upload for page in pages for upload in page.get("Uploads", ()) if upload["Key"] == image]
    for upload in uploads:
        client.abort_multipart_upload(Bucket=driver.bucket, Key=image, UploadId=upload["UploadId"])
        log.info("image %.80r: its unfinished upload into the bucket %s was ended", image, driver.bucket)


def _delete_ceph_image(driver: Any, image: str) -> None:
    from glance_store import exceptions
    from glance_store._drivers import rbd

    with contextlib.suppress(exceptions.NotFound):
        driver._delete_image(driver.pool, image, rbd.DEFAULT_SNAPNAME)


_DELETE: dict[str, Callable[[Any, str], None]] = {
    "file": _delete_file,
    "s3": _delete_object,
    "rbd": _delete_ceph_image,
}
"""By the kind of store, as in `enabled_backends`."""
