"""A catalog that a user may not write, and one on a full disk."""

import os
from pathlib import Path

from douane.catalog import Catalog
from douane.errors import CatalogError
from support.processes import as_ordinary_user, on_small_disk, open_directory


def test_missing_permission_names_the_user() -> None:
    with open_directory() as directory:
        Catalog(directory / "home" / "catalog.sqlite").close()
        os.chmod(directory / "home" / "catalog.sqlite", 0o400)
        os.chmod(directory / "home", 0o555)
        os.chmod(directory, 0o555)
        try:
            as_ordinary_user(lambda: _refused_by_permission(directory / "new" / "catalog.sqlite"))
            as_ordinary_user(lambda: _refused_by_permission(directory / "home" / "catalog.sqlite"))
        finally:
            os.chmod(directory, 0o777)
            os.chmod(directory / "home", 0o777)


def _refused_by_permission(path: Path) -> None:
    try:
        with Catalog(path) as catalog:
            catalog.create_image(name="x")
    except CatalogError as error:
        assert error.code == "catalog-unwritable", error
        assert f"give user {os.geteuid()} the right to write" in str(error)
    else:
        raise AssertionError("it was written")


def test_a_full_disk_is_reported_and_committed_images_stay(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from douane.catalog import Catalog\n"
        "from douane.errors import CatalogError\n"
        "catalog = Catalog(sys.argv[1] + '/catalog.sqlite')\n"
        "ids = []\n"
        "try:\n"
        "    while True: ids.append(catalog.create_image(name='x', properties={'p': 'v' * 60000}).id)\n"
        "except CatalogError as error:\n"
        "    print(error.code, error)\n"
        "print(ids == [image.id for image in catalog.images()], len(ids) > 3)\n"
        "catalog.close()\n"
        "print(len(Catalog(sys.argv[1] + '/catalog.sqlite').images()) == len(ids))\n"
    )
    message, stored, reopened = on_small_disk(tmp_path, 2 << 20, code).splitlines()
    assert message.startswith("catalog-full ")
    assert "make room" in message
    assert (stored, reopened) == ("True True", "True")
