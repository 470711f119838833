"""The calls of the Image API that carry no bytes of images, by the application without a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from douane.api.routes import ROUTES
from douane.api.routes.base import Route
from support.api import ADMIN, OTHER, OWNER, READER, SERVICE, Api

V21 = {"Content-Type": "application/openstack-images-v2.1-json-patch"}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    opened = Api(tmp_path)
    yield opened
    opened.close()


@pytest.mark.parametrize("path", ["/", "/v2", "/v2/", "/v3/images", "/v9", "/nonsense"])
def test_the_root_and_unknown_segments_list_the_versions_as_choices(api: Api, path: str) -> None:
    response = api.request("GET", path, sender=None)
    assert response.status_code == 300
    assert response.json()["versions"][0]["links"][0]["href"] == "http://image.example/v2/"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_empty_id_is_no_image_and_not_the_list_of_images(api: Api, method: str) -> None:
    assert api.request(method, "/v2/images/").status_code == 404


def test_versions_are_200(api: Api) -> None:
    assert api.request("GET", "/versions", sender=None).status_code == 200


@pytest.mark.parametrize("prefix", ["v2", "v2.0", "v2.7", "v2.17"])
def test_all_versions_lead_to_the_same_api(api: Api, prefix: str) -> None:
    image = api.create(name="n")
    assert api.request("GET", f"/{prefix}/images/{image['id']}").json()["name"] == "n"


@pytest.mark.parametrize("name", ["image", "images", "member", "members", "task", "tasks", "metadefs/namespace"])
def test_schemas(api: Api, name: str) -> None:
    assert api.request("GET", f"/v2/schemas/{name}").json()["name"] == name.rpartition("/")[2]


def test_every_answer_has_its_own_request_id(api: Api) -> None:
    answers = [api.request("GET", "/v2/images"), api.request("GET", "/v2/images/x"), api.request("PUT", "/v2/images")]
    ids = {answer.headers["x-openstack-request-id"] for answer in answers}
    assert len(ids) == 3
    assert all(each.startswith("req-") for each in ids)


def test_errors_have_the_body_that_glanceclient_shows(api: Api) -> None:
    response = api.request("GET", "/v2/images/x")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/json"
    assert set(response.json()["error"]) == {"code", "title", "message"}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_a_method_that_a_path_does_not_know_is_405_with_those_that_it_knows(api: Api, route: Route) -> None:
    path = route.path.replace("{image_id}", str(uuid4())).replace("{", "").replace("}", "")
    response = api.request("LOCK", path, ADMIN)
    assert response.status_code in (400, 405)
    method = next(name for name in ("PATCH", "GET", "POST") if not hasattr(route.resource, f"on_{name.lower()}"))
    response = api.request(method, path, ADMIN)
    assert response.status_code == 405
    known = {
        name
        for name in ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS")
        if hasattr(route.resource, f"on_{name.lower()}")
    }
    assert set(response.headers["allow"].split(", ")) == known


@pytest.mark.parametrize("path", ["/v2/nonsense", "/v2/images/x/nonsense", "/v2/metadefs/namespaces", "/v2/cache/x"])
def test_an_unknown_path_of_the_api_is_404(api: Api, path: str) -> None:
    assert api.request("GET", path).status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v2/images"), ("DELETE", "/v2/images/x"), ("POST", "/v2/images/x/actions/deactivate")],
)
def test_a_body_where_none_belongs_is_refused(api: Api, method: str, path: str) -> None:
    response = api.request(method, path, content=b"{}")
    assert response.status_code == 400
    assert "no body" in response.json()["error"]["message"]


def test_create_answers_with_the_image_its_path_and_the_methods(api: Api) -> None:
    image_id = str(uuid4())
    body = {"id": image_id, "name": "n", "disk_format": "raw", "tags": ["a"], "os_type": "linux"}
    response = api.request("POST", "/v2/images", json=body)
    assert response.status_code == 201
    assert response.headers["location"] == f"/v2/images/{image_id}"
    assert response.headers["openstack-image-store-ids"] == "file,second"
    assert response.json() == api.request("GET", f"/v2/images/{image_id}").json()
    assert response.json()["owner"] == "p1"
    assert api.request("POST", "/v2/images", json=body).status_code == 409


def test_a_store_that_does_not_exist_cannot_be_wanted(api: Api) -> None:
    response = api.request("POST", "/v2/images", json={}, headers={"X-Image-Meta-Store": "third"})
    assert response.status_code == 400


def test_a_list_has_pages_that_lead_to_each_other(api: Api) -> None:
    created = [api.create(name=str(n))["id"] for n in range(3)]
    page = api.request("GET", "/v2/images?limit=2&sort=created_at:asc").json()
    rest = api.request("GET", page["next"]).json()
    assert [image["id"] for image in page["images"] + rest["images"]] == created
    assert "next" not in rest


def test_another_project_does_not_see_a_shared_image_before_it_is_a_member(api: Api) -> None:
    image = api.create()
    path = f"/v2/images/{image['id']}"
    missing = api.request("GET", f"/v2/images/{uuid4()}", OTHER)
    hidden = api.request("GET", path, OTHER)
    assert hidden.status_code == missing.status_code == 404
    assert hidden.json()["error"]["message"].replace(image["id"], "") in (
        missing.json()["error"]["message"].replace(str(missing.request.url).rpartition("/")[2], "")
    )
    assert api.request("POST", f"{path}/members", json={"member": "p2"}).status_code == 200
    assert api.request("GET", path, OTHER).status_code == 200


def test_patch_changes_all_or_nothing(api: Api) -> None:
    path = f"/v2/images/{api.create(name='n', a='1')['id']}"
    changes = [{"op": "replace", "path": "/name", "value": "m"}, {"op": "remove", "path": "/b"}]
    assert api.request("PATCH", path, json=changes, headers=V21).status_code == 409
    assert api.request("GET", path).json()["name"] == "n"
    assert api.request("PATCH", path, json=changes[:1], headers=V21).json()["name"] == "m"
    assert api.request("PATCH", path, json=[], headers=V21).status_code == 200


def test_patch_wants_its_content_type(api: Api) -> None:
    response = api.request("PATCH", f"/v2/images/{api.create()['id']}", json=[])
    assert response.status_code == 415
    assert "v2.1" in response.headers["accept-patch"]


@pytest.mark.parametrize(("sender", "status"), [(READER, 403), (OTHER, 403), (OWNER, 200), (ADMIN, 200)])
def test_only_the_owner_changes_an_image(api: Api, sender: str, status: int) -> None:
    path = f"/v2/images/{api.create(visibility='community')['id']}"
    change = [{"op": "replace", "path": "/name", "value": "m"}]
    assert api.request("PATCH", path, sender, json=change, headers=V21).status_code == status
    assert api.request("PUT", f"{path}/tags/t", sender).status_code == (403 if status == 403 else 204)
    assert api.request("DELETE", path, sender).status_code == (403 if status == 403 else 204)


@pytest.mark.parametrize("name", ["status", "os_glance_x", "douane_code", "owner"])
def test_patch_of_what_is_reserved_is_403(api: Api, name: str) -> None:
    path = f"/v2/images/{api.create()['id']}"
    changes = [{"op": "add", "path": f"/{name}", "value": "active"}]
    assert api.request("PATCH", path, json=changes, headers=V21).status_code == 403


def test_delete_removes_the_bytes_from_all_stores(api: Api) -> None:
    image_id = api.create(disk_format="raw", container_format="bare")["id"]
    api.activate(image_id, b"abc", ("file", "second"))
    assert api.request("DELETE", f"/v2/images/{image_id}").status_code == 204
    assert api.request("GET", f"/v2/images/{image_id}").status_code == 404
    assert not any(store.exists(image_id) for store in api.stores.values())
    assert api.catalog.image(image_id).stores == []


def test_a_protected_image_is_not_deleted(api: Api) -> None:
    path = f"/v2/images/{api.create(protected=True)['id']}"
    assert api.request("DELETE", path).status_code == 403


def test_deactivate_and_reactivate_can_be_repeated(api: Api) -> None:
    image_id = api.create(disk_format="raw", container_format="bare")["id"]
    path = f"/v2/images/{image_id}"
    assert api.request("POST", f"{path}/actions/deactivate").status_code == 400
    api.activate(image_id, b"abc")
    for action, status in (("deactivate", "deactivated"), ("reactivate", "active")):
        for _ in range(2):
            response = api.request("POST", f"{path}/actions/{action}")
            assert response.status_code == 204
            assert response.content == b""
            assert "content-type" not in response.headers
        assert api.request("GET", path).json()["status"] == status


def test_tags(api: Api) -> None:
    path = f"/v2/images/{api.create()['id']}"
    assert [api.request("PUT", f"{path}/tags/a b").status_code for _ in range(2)] == [204, 204]
    assert api.request("GET", path).json()["tags"] == ["a b"]
    assert api.request("PUT", f"{path}/tags/{'t' * 256}").status_code == 400
    assert [api.request("DELETE", f"{path}/tags/a b").status_code for _ in range(2)] == [204, 404]


def test_a_member_answers_and_sees_only_its_own_entry(api: Api) -> None:
    path = f"/v2/images/{api.create()['id']}/members"
    for project in ("p2", "p3"):
        assert api.request("POST", path, json={"member": project}).json()["status"] == "pending"
    assert api.request("POST", path, json={"member": "p2"}).status_code == 409
    assert api.request("PUT", f"{path}/p2", json={"status": "accepted"}).status_code == 403
    assert api.request("PUT", f"{path}/p2", OTHER, json={"status": "accepted"}).json()["status"] == "accepted"
    assert [each["member_id"] for each in api.request("GET", path, OTHER).json()["members"]] == ["p2"]
    assert api.request("GET", f"{path}/p3", OTHER).status_code == 404
    assert len(api.request("GET", path).json()["members"]) == 2
    assert api.request("DELETE", f"{path}/p2", OTHER).status_code == 403
    assert [api.request("DELETE", f"{path}/p2").status_code for _ in range(2)] == [204, 404]


def test_tasks_of_an_image_and_for_administrators(api: Api) -> None:
    image_id = api.create(disk_format="raw", container_format="bare")["id"]
    api.activate(image_id, b"abc")
    (task,) = api.request("GET", f"/v2/images/{image_id}/tasks").json()["tasks"]
    assert task["status"] == "success"
    assert api.request("GET", f"/v2/tasks/{task['id']}", ADMIN).json()["id"] == task["id"]
    assert api.request("GET", f"/v2/tasks/{task['id']}").status_code == 403
    assert api.request("GET", f"/v2/tasks/{uuid4()}", ADMIN).status_code == 404
    refused = api.request("DELETE", f"/v2/tasks/{task['id']}", ADMIN)
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET")


def test_stores_and_methods(api: Api) -> None:
    assert api.request("GET", "/v2/info/import").json()["import-methods"]["value"]
    stores = api.request("GET", "/v2/info/stores").json()["stores"]
    assert [store["id"] for store in stores] == ["file", "second"]
    assert api.request("GET", "/v2/info/stores/detail").status_code == 403
    assert "weight" in api.request("GET", "/v2/info/stores/detail", ADMIN).json()["stores"][0]


def test_the_last_copy_of_an_image_stays(api: Api) -> None:
    image_id = api.create(disk_format="raw", container_format="bare")["id"]
    api.activate(image_id, b"abc", ("file", "second"))
    assert api.request("DELETE", f"/v2/stores/second/{image_id}").status_code == 403
    assert api.request("DELETE", f"/v2/stores/third/{image_id}", ADMIN).status_code == 409
    statuses = [api.request("DELETE", f"/v2/stores/second/{image_id}", ADMIN).status_code for _ in range(2)]
    assert statuses == [204, 404]
    assert not api.stores["second"].exists(image_id)
    assert api.request("DELETE", f"/v2/stores/file/{image_id}", ADMIN).status_code == 403


def test_locations_are_for_services(api: Api) -> None:
    image_id = api.create(disk_format="raw", container_format="bare", visibility="community")["id"]
    path = f"/v2/images/{image_id}/locations"
    assert api.request("POST", path, ADMIN, json={"url": "rbd://fsid/pool/image/snap"}).status_code == 403
    api.activate(image_id, b"abc")
    assert api.request("GET", path).status_code == 403
    (location,) = api.request("GET", path, SERVICE).json()
    assert location["metadata"] == {"store": "file"}


def test_healthcheck_is_503_while_the_service_drains(api: Api) -> None:
    assert api.request("GET", "/healthcheck", sender=None).status_code == 200
    api.service.draining.set()
    assert api.request("GET", "/healthcheck", sender=None).status_code == 503


def test_a_client_id_that_is_too_long_is_431(api: Api) -> None:
    response = api.request("GET", "/v2/images", headers={"X-Openstack-Request-Id": "r" * 65})
    assert response.status_code == 431


@pytest.mark.parametrize("path", ["/v2/images/a%2Fb", "/v2/images/%2e%2e/x", "/v2/images/a%00", "/v2/images/%FF"])
def test_paths_that_two_programs_could_read_in_two_ways_are_refused(api: Api, path: str) -> None:
    assert api.request("GET", path).status_code in (400, 404)


def test_all_tasks_have_pages_for_administrators(api: Api) -> None:
    created = []
    for _ in range(3):
        image_id = api.create(disk_format="raw", container_format="bare")["id"]
        api.activate(image_id, b"abc")
        created.append(api.request("GET", f"/v2/images/{image_id}/tasks").json()["tasks"][0]["id"])
    page = api.request("GET", "/v2/tasks?limit=2&sort_dir=asc&status=success", ADMIN).json()
    rest = api.request("GET", page["next"], ADMIN).json()
    assert [task["id"] for task in page["tasks"] + rest["tasks"]] == created
    assert "message" not in page["tasks"][0]
    assert api.request("GET", "/v2/tasks").status_code == 403


def test_the_tasks_of_an_image_have_pages_and_the_first_has_the_last_tasks(api: Api) -> None:
    image_id = api.create(disk_format="raw", container_format="bare")["id"]
    for _ in range(4):
        task = api.catalog.begin_import(image_id, method="file", plan={}, on_failure="requeue")
        api.catalog.fail(task, outcome="refused", code="virus", message="Eicar")
    path = f"/v2/images/{image_id}/tasks"
    everything = api.request("GET", path).json()
    ids = [task["id"] for task in everything["tasks"]]
    assert len(ids) == 4
    assert "next" not in everything
    page = api.request("GET", f"{path}?limit=3").json()
    rest = api.request("GET", page["next"]).json()
    assert [task["id"] for task in page["tasks"]] == ids[1:]
    assert [task["id"] for task in rest["tasks"]] == ids[:1]
    assert "next" not in rest


@pytest.mark.parametrize("query", ["limit=x", "marker=x", "marker=11111111-2222-4333-8444-555555555555"])
def test_a_wrong_page_of_the_tasks_of_an_image_is_400(api: Api, query: str) -> None:
    image_id = api.create(disk_format="raw", container_format="bare")["id"]
    assert api.request("GET", f"/v2/images/{image_id}/tasks?{query}").status_code == 400


@pytest.mark.parametrize("query", ["status=x", "type=x", "limit=-1", "marker=x", "nonsense=1", "sort_key=id"])
def test_a_wrong_query_of_tasks_is_400(api: Api, query: str) -> None:
    assert api.request("GET", f"/v2/tasks?{query}", ADMIN).status_code == 400


def test_usage_and_the_quota_of_images(tmp_path: Path) -> None:
    api = Api(tmp_path, image_count=1)
    image_id = api.create(disk_format="raw", container_format="bare")["id"]
    api.activate(image_id, b"abc")
    assert api.request("POST", "/v2/images", json={}).status_code == 413
    usage = api.request("GET", "/v2/info/usage").json()["usage"]
    assert usage["image_count_total"] == {"limit": 1, "usage": 1}
    assert usage["image_size_total"] == {"limit": -1, "usage": 1}
    assert api.request("GET", "/v2/info/usage", OTHER).json()["usage"]["image_count_total"]["usage"] == 0
    api.close()


@pytest.mark.parametrize("path", ["/v2/images", "/v2/images/nothing", "/versions", "/healthcheck", "/ui", "/nonsense"])
def test_every_answer_is_kept_by_no_cache_and_taken_for_nothing_else(api: Api, path: str) -> None:
    headers = api.request("GET", path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_the_bytes_of_an_image_are_no_script_of_the_pages(api: Api) -> None:
    image_id = api.create(disk_format="raw", container_format="bare")["id"]
    api.activate(image_id, b"alert(1)")
    headers = api.request("GET", f"/v2/images/{image_id}/file").headers
    assert (headers["content-type"], headers["x-content-type-options"]) == ("application/octet-stream", "nosniff")
