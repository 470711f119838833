"""Versions, import methods, stores and usage (IMAGE-API no. 1, 2 and 23 to 26)."""

from __future__ import annotations

from douane.api.documents.service_documents import (
    PREFIXES,
    Quantity,
    StoreInfo,
    Usage,
    import_info_document,
    stores_document,
    usage_document,
    versions_document,
)


def test_the_versions_are_those_without_a_cache() -> None:
    versions = versions_document("https://images.test/glance/")["versions"]
    ids = [version["id"] for version in versions]
    assert set(ids) == {f"v2.{minor}" for minor in range(18)} - {"v2.14", "v2.16"}
    assert [version["id"] for version in versions if version["status"] == "CURRENT"] == ["v2.17"]
    assert {version["links"][0]["href"] for version in versions} == {"https://images.test/glance/v2/"}
    assert {version["links"][0]["rel"] for version in versions} == {"self"}
    assert {"v2", *ids} == PREFIXES


def test_the_import_methods_are_where_clients_look() -> None:
    methods = ["glance-direct", "web-download"]
    document = import_info_document(methods)["import-methods"]
    assert (document["value"], document["type"]) == (methods, "array")


RBD = StoreInfo(
    id="ceph",
    type="rbd",
    description="fast",
    properties={"pool": "images", "fsid": "f", "user": "admin", "key": "secret"},
)
FILE = StoreInfo(id="a-file", type="file", is_default=True, properties={"data_dir": "/srv/store"})
S3 = StoreInfo(id="s3", type="s3", properties={"bucket": "b", "endpoint": "https://key:secret@s3.test"})
WEB = StoreInfo(id="web", type="http", is_read_only=True, properties={"password": "secret"})


def test_stores_are_sorted_and_false_is_left_out() -> None:
    # No. 24: the strings "true".
    assert stores_document([WEB, RBD, FILE]) == {
        "stores": [
            {"id": "a-file", "description": "", "default": "true"},
            {"id": "ceph", "description": "fast"},
            {"id": "web", "description": "", "read-only": "true"},
        ]
    }


def test_a_weight_comes_before_the_name() -> None:
    heavy = StoreInfo(id="z", type="file", weight=10)
    assert [store["id"] for store in stores_document([RBD, FILE, heavy])["stores"]] == ["z", "a-file", "ceph"]


def test_the_detail_of_a_store_has_no_credentials() -> None:
    stores = stores_document([RBD, FILE, S3, WEB], detail=True)["stores"]
    assert [store["properties"] for store in stores] == [
        {"data_dir": "/srv/store"},
        {"pool": "images", "fsid": "f"},
        {"bucket": "b"},
        {},
    ]
    assert [(store["type"], store["weight"]) for store in stores] == [("file", 0), ("rbd", 0), ("s3", 0), ("http", 0)]


def test_usage_is_in_mebibytes() -> None:
    usage = Usage(
        size=Quantity(3 * 2**20 + 1, 10 * 2**20), count=Quantity(2, 5), staged=Quantity(1), uploading=Quantity(0)
    )
    assert usage_document(usage) == {
        "usage": {
            "image_size_total": {"limit": 10, "usage": 4},
            "image_count_total": {"limit": 5, "usage": 2},
            "image_stage_total": {"limit": -1, "usage": 1},
            "image_count_uploading": {"limit": -1, "usage": 0},
        }
    }
