"""Common clients and the functions of douane.api: clients read its documents, and it reads what clients send.

The clients talk to a server that answers with these documents and records requests; the documents are made from the
records of a real catalog.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from douane.api.documents.records import (
    ImageView,
    image_document,
    image_list_document,
    member_list_document,
    task_document,
    task_list_document,
)
from douane.api.documents.schemas import image_schema, images_schema, member_schema
from douane.api.documents.service_documents import StoreInfo, import_info_document, stores_document, versions_document
from douane.api.errors import HttpError, error_body
from douane.api.identity.rights import make_identity
from douane.api.requests.create import NewImage, read_new_image
from douane.api.requests.filters import read_image_list
from douane.api.requests.image_fields import ImageRules
from douane.api.requests.import_request import METHODS, read_import
from douane.api.requests.patch import read_changes
from douane.catalog import Catalog, Image, ImportRequest
from douane.catalog.query import ImageQuery, RemoveProperty, SetField, SetProperty, SetTags, SortKey

pytestmark = [pytest.mark.glance, pytest.mark.timeout(120)]

RULES = ImageRules(disk_formats=("raw", "qcow2"))
TENANT = make_identity("u1", "p1", ["member"])


@dataclass
class Request:
    method: str
    query: str
    content_type: str | None
    body: bytes


@dataclass
class Answers:
    """What the server answers to each method and path, and the requests that came."""

    url: str = ""
    answers: dict[tuple[str, str], tuple[int, bytes]] = field(default_factory=dict)
    requests: dict[tuple[str, str], list[Request]] = field(default_factory=dict)

    def add(self, method: str, path: str, value: Any, status: int = 200) -> None:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.answers[method, path] = (status, body)

    def last(self, method: str, path: str) -> Request:
        return self.requests[method, path][-1]


def handler(answers: Answers) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            url = urlsplit(self.path)
            path = url.path.removeprefix("/v2")
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Request(self.command, url.query, self.headers.get("Content-Type"), body)
            answers.requests.setdefault((self.command, path), []).append(request)
            status, content = answers.answers.get((self.command, path), (404, error_body(HttpError(404, self.path))))
            if "marker=" in url.query:  # openstacksdk asks for pages until one is empty
                content = json.dumps(image_list_document([], "/v2/images", None)).encode()
            self.send_response(status)
            if content:  # glanceclient parses an empty body, if it is announced as JSON
                self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("OpenStack-image-import-methods", ",".join(METHODS))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    return Handler


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Image]:
    with Catalog(tmp_path / "catalog.sqlite") as catalog:
        yield catalog.create_image(
            name="é", owner="p1", disk_format="qcow2", container_format="bare", properties={"a": "1", "b": "2"}
        )


@pytest.fixture
def answers(image: Image, tmp_path: Path) -> Iterator[Answers]:
    answers = Answers()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(answers))
    answers.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with Catalog(tmp_path / "catalog.sqlite") as catalog:
        member = catalog.add_member(image.id, "p2")
        request = ImportRequest(owner="p1", user_id="u1", request_id="req-1", import_req={}, stores=("a",))
        task = catalog.begin_import(image.id, method="glance-direct", plan={}, on_failure="requeue", request=request)
    document = image_document(image, ImageView(task=task))
    path = f"/images/{image.id}"
    answers.add("GET", "/", versions_document(answers.url), 300)
    answers.add("GET", "/versions", versions_document(answers.url))
    answers.add("GET", "", versions_document(answers.url))
    answers.add("GET", "/schemas/image", image_schema(RULES))
    answers.add("GET", "/schemas/images", images_schema(RULES))
    answers.add("GET", "/schemas/member", member_schema())
    answers.add("GET", path, document)
    answers.add("PATCH", path, document)
    answers.add("POST", "/images", document, 201)
    answers.add("GET", "/images", image_list_document([document], "/v2/images", None))
    answers.add("GET", f"{path}/members", member_list_document([member]))
    answers.add("GET", f"{path}/tasks", task_list_document([task_document(task, is_admin=False, is_owner=True)]))
    answers.add("POST", f"{path}/import", b"", 202)
    answers.add("GET", "/info/import", import_info_document(METHODS))
    answers.add("GET", "/info/stores", stores_document([StoreInfo(id="a", type="file", is_default=True)]))
    yield answers
    server.shutdown()
    server.server_close()


@pytest.fixture
def glance(answers: Answers) -> Any:
    """glanceclient."""
    import glanceclient

    return glanceclient.Client("2", endpoint=answers.url, token="t")


@pytest.fixture
def sdk(answers: Answers) -> Any:
    """The image service of openstacksdk."""
    import openstack

    connection = openstack.connect(
        load_yaml_config=False,
        load_envvars=False,
        auth_type="none",
        auth={"endpoint": answers.url},
        image_endpoint_override=f"{answers.url}/v2",
        image_api_version="2",
    )
    return connection.image


def test_glanceclient_reads_an_image_and_its_model_fits(glance: Any, image: Image) -> None:
    record = glance.images.get(image.id)
    assert (record["name"], record["disk_format"], record["a"], record["size"]) == ("é", "qcow2", "1", None)
    # The model with validation, as glanceclient makes it from the schema.
    assert glance.images.model(**{name: record[name] for name in record})["id"] == image.id
    with pytest.raises(ValueError, match="floppy"):
        glance.images.model(disk_format="floppy")


def test_openstacksdk_reads_an_image(sdk: Any, image: Image) -> None:
    record = sdk.get_image(image.id)
    assert (record.name, record.disk_format, record.properties["a"]) == ("é", "qcow2", "1")
    assert (record.visibility, record.is_hidden, record.min_disk) == ("shared", False, 0)


def test_lists_members_and_tasks_are_read(glance: Any, sdk: Any, image: Image) -> None:
    assert [record.id for record in glance.images.list()] == [image.id]
    assert [record.id for record in sdk.images()] == [image.id]
    assert [(member.member_id, member.status) for member in glance.image_members.list(image.id)] == [("p2", "pending")]
    assert [member.member_id for member in sdk.members(image.id)] == ["p2"]
    tasks = glance.images.get_associated_image_tasks(image.id)["tasks"]
    assert [(task["status"], task["request_id"]) for task in tasks] == [("processing", "req-1")]
    assert [store.id for store in sdk.stores()] == ["a"]
    assert glance.images.get_import_info()["import-methods"]["value"] == list(METHODS)


def test_patches_of_both_clients_are_read(glance: Any, sdk: Any, answers: Answers, image: Image) -> None:
    path = f"/images/{image.id}"
    glance.images.update(image.id, remove_props=["b"], name="new", a="9", c="3", tags=["x"])
    request = answers.last("PATCH", path)
    changes = read_changes(request.content_type, request.body, RULES)
    assert {type(change) for change in changes} == {SetField, SetProperty, RemoveProperty, SetTags}
    assert {change.name: change.value for change in changes if isinstance(change, SetProperty)} == {"a": "9", "c": "3"}
    assert [change.name for change in changes if isinstance(change, RemoveProperty)] == ["b"]
    sdk.update_image(image.id, name="newer", is_protected=True)
    request = answers.last("PATCH", path)
    changes = read_changes(request.content_type, request.body, RULES)
    assert set(changes) == {SetField("name", "newer"), SetField("protected", True)}


def creations(glance: Any, sdk: Any) -> list[Callable[[], Any]]:
    return [
        lambda: glance.images.create(
            name="n", disk_format="raw", container_format="bare", visibility="private", os_distro="x"
        ),
        lambda: sdk.create_image(
            "n", disk_format="raw", container_format="bare", visibility="private", os_distro="x", allow_duplicates=True
        ),
    ]


def test_creations_of_both_clients_are_read(glance: Any, sdk: Any, answers: Answers) -> None:
    for create in creations(glance, sdk):
        create()
        new: NewImage = read_new_image(answers.last("POST", "/images").body, TENANT, RULES)
        assert (new.name, new.disk_format, new.container_format, new.visibility) == ("n", "raw", "bare", "private")
        assert new.properties["os_distro"] == "x"


def test_queries_of_both_clients_are_read(glance: Any, sdk: Any, answers: Answers) -> None:
    filters = {"name": "é:x", "tag": ["a", "b"], "os_distro": "d"}
    list(glance.images.list(filters=filters, sort="name:asc,size:desc", page_size=7))
    query = read_image_list(answers.last("GET", "/images").query, TENANT).query
    expected = ImageQuery(
        project="p1",
        text={"name": ("é:x",)},
        tags=("a", "b"),
        properties={"os_distro": "d"},
        sort=(SortKey("name", False), SortKey("size", True)),
        limit=7,
    )
    assert query == expected
    answers.requests.clear()
    list(sdk.images(name="in:a,b", is_hidden=True, sort="name:asc", limit=3, size_min=4))
    query = read_image_list(answers.requests["GET", "/images"][0].query, TENANT).query
    assert (query.text, query.hidden) == ({"name": ("a", "b")}, True)
    assert (query.sort, query.limit, query.at_least) == ((SortKey("name", False),), 3, {"size": 4})


def test_imports_of_both_clients_are_read(glance: Any, sdk: Any, answers: Answers, image: Image) -> None:
    path = f"/images/{image.id}/import"
    glance.images.image_import(image.id, "web-download", uri="https://i.test/a", all_stores=True)
    order = read_import(answers.last("POST", path).body, METHODS)
    assert (order.method, order.uri, order.all_stores) == ("web-download", "https://i.test/a", True)
    sdk.import_image(sdk.get_image(image.id), method="glance-direct")
    order = read_import(answers.last("POST", path).body, METHODS)
    assert (order.method, order.stores, order.all_stores) == ("glance-direct", (), False)


def test_both_clients_show_the_sentence_of_an_error(glance: Any, sdk: Any, answers: Answers, image: Image) -> None:
    sentence = "The image is active; an import needs an image that is queued."
    answers.add("GET", f"/images/{image.id}", error_body(HttpError(409, sentence)), 409)
    for get in (glance.images.get, sdk.get_image):
        with pytest.raises(Exception, match=sentence):
            get(image.id)


def test_glanceclient_accepts_a_refused_image(glance: Any, answers: Answers, image: Image) -> None:
    refused = msgspec.structs.replace(image, code="bad", message="No.")
    answers.add("GET", f"/images/{image.id}", image_document(refused))
    record = glance.images.get(image.id)
    assert (record["douane_reason"], record["os_glance_failed_import"]) == ("No.", "file")
