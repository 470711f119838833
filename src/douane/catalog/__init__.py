"""The catalog: the only owner of image state. Records of images and import tasks, in one database.

`Catalog` (`catalog.py`) is the interface; `query.py` has the typed query and the typed changes. `states.py` has the
table of states and the one statement that changes a state. `records.py` defines what the catalog returns, `schema.py`
the tables. `migrations/versions` has one module for each revision of the schema: a change of the schema is a new module
there and `database.HEAD`.
"""

from .catalog import Catalog
from .kept_reports import AcceptedImport
from .query import UploadQuotas
from .records import CopyFacts, Image, ImportRequest, Member, Task
from .usage import Usage

__all__ = [
    "AcceptedImport",
    "Catalog",
    "CopyFacts",
    "Image",
    "ImportRequest",
    "Member",
    "Task",
    "UploadQuotas",
    "Usage",
]
