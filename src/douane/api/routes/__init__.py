"""The table of routes. A new resource is a class in a module here, and one line in the table.

Paths are those of version 2 of the Image API; other prefixes (``/v2.7``) lead to them (`paths.py`).
"""

from .base import Route
from .bill import Sbom
from .copies import Copy
from .health import Healthcheck
from .image_file import ImageFile
from .images import Deactivate, Image, Images, Reactivate
from .imports import CancelImport, Import
from .info import ImportInfo, Stores, StoresDetail, Usage
from .locations import Locations
from .members import Member, Members
from .metrics import MetricsPage
from .openapi import OpenApi
from .schemas import MetadefSchemas, Schemas
from .tags import Tag
from .tasks import ImageTasks, Task, Tasks
from .ui import ImportList, ImportPage, Live, Login, Logout, StaticFile
from .uploads import OpenUpload, Stage
from .versions import VersionChoices, Versions

ROUTES = (
    Route("/", VersionChoices, "the versions of the API, as choices"),
    Route("/versions", Versions, "the versions of the API"),
    Route("/healthcheck", Healthcheck, "whether the service answers"),
    Route("/metrics", MetricsPage, "metrics for Prometheus"),
    Route("/openapi.json", OpenApi, "the description of the API for programs"),
    Route("/v2/schemas/{name}", Schemas, "JSON schemas of images, members and tasks"),
    Route("/v2/schemas/metadefs/{name}", MetadefSchemas, "JSON schemas of metadata definitions"),
    Route("/v2/images", Images, "list and create images"),
    Route("/v2/images/{image_id}", Image, "read, change and delete an image"),
    Route("/v2/images/{image_id}/actions/deactivate", Deactivate, "prevent downloads of an image"),
    Route("/v2/images/{image_id}/actions/reactivate", Reactivate, "allow downloads of an image again"),
    Route("/v2/images/{image_id}/actions/cancel_import", CancelImport, "cancel the import of an image"),
    Route("/v2/images/{image_id}/import", Import, "import staged bytes, a URL, or an image into further stores"),
    Route("/v2/images/{image_id}/file", ImageFile, "the bytes of an image"),
    Route("/v2/images/{image_id}/stage", Stage, "bring bytes before their import is requested"),
    Route("/v2/images/{image_id}/uploads/{upload_id}", OpenUpload, "an upload whose bytes come in several requests"),
    Route("/v2/images/{image_id}/tags/{tag}", Tag, "add and remove a tag"),
    Route("/v2/images/{image_id}/members", Members, "list the members of an image, and share it"),
    Route("/v2/images/{image_id}/members/{member}", Member, "read, answer and remove a membership"),
    Route("/v2/images/{image_id}/tasks", ImageTasks, "the import tasks of an image"),
    Route("/v2/images/{image_id}/sbom", Sbom, "the bill of materials that the import of an image kept"),
    Route("/v2/images/{image_id}/locations", Locations, "where the bytes are, for services"),
    Route("/v2/tasks", Tasks, "all import tasks, for administrators"),
    Route("/v2/tasks/{task_id}", Task, "an import task, for administrators"),
    Route("/v2/info/import", ImportInfo, "the import methods"),
    Route("/v2/info/stores", Stores, "the stores"),
    Route("/v2/info/stores/detail", StoresDetail, "the stores, for administrators"),
    Route("/v2/info/usage", Usage, "quotas, and what the project uses"),
    Route("/v2/stores/{store_id}/{image_id}", Copy, "remove a copy from a store"),
    Route("/ui", ImportList, "the page for people: the list of imports"),
    Route("/ui/imports/{task_id}", ImportPage, "the page of one import"),
    Route("/ui/live", Live, "the progress of imports, for the script of the page"),
    Route("/ui/login", Login, "the form that takes a token"),
    Route("/ui/logout", Logout, "the end of a session"),
    Route("/ui/static/{name}", StaticFile, "the style sheet, the script and the icon of the page"),
)
"""Path template, resource and summary: the OpenAPI document is generated from it, too."""
