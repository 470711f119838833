"""An import of a staged file, with a real engine and a Glance image in memory."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import msgspec
import pytest

from douane.bills.kept import InventoryRecord
from douane.glance import backends, settings
from douane.glance.outcome import Reason, Undo, requeue
from douane.glance.settings import Settings
from douane.glance.staged.attestation import Attestation, Attestations
from douane.glance.staged.staged_import import Changes, StagedImport
from douane.glance.staged.tag import Tag
from douane.plugins.packages.inventory import Inventory, Package, System, document_of
from support.fake_image import FakeImage, NotFound, TaskAbortedError, Wrapper

ID = Wrapper.image_id
REASON = Reason("refused", "evil", "there is evil in it")
PLUGIN = """
from douane_plugin import Inspector, Reject

class Acts(Inspector):
    def inspect(self, image):
        data = b"".join(bytes(chunk) for chunk in image)
        if b"EVIL" in data:
            raise Reject("evil", "there is evil in it")
        return {"seen": len(data), "declared": ",".join(sorted(image.properties)), "owner": str(image.owner)}
"""


class World:
    """A plan, a staging folder, an image and its import."""

    def __init__(self, folder: Path) -> None:
        self.staging = folder / "staging"
        self.state = folder / "state"
        self.staging.mkdir()
        self.state.mkdir()
        (folder / "acts.py").write_text(PLUGIN)
        self.config = folder / "douane.toml"
        self.acts = f'[[plugin]]\nname = "acts"\nuse = "{folder / "acts.py"}:Acts"\n'
        self.plan(self.acts)
        self.image = FakeImage()
        self.wrapper = Wrapper(self.image)
        self.undo = Undo()
        settings.share(Settings(str(self.config), state=str(self.state)))

    def plan(self, text: str) -> None:
        new = self.config.with_suffix(".new")
        new.write_text(text)
        new.rename(self.config)

    @property
    def path(self) -> Path:
        return self.staging / ID

    def stage(self, data: bytes) -> str:
        self.image.size = len(data)
        self.path.write_bytes(data)
        return f"file://{self.path}"

    def run(self, data: bytes, method: str = "glance-direct", service_roles: tuple[str, ...] = ()) -> Changes | Reason:
        staged_import = StagedImport(ID, method, self.wrapper, self.wrapper, ["member"], service_roles=service_roles)
        outcome = staged_import.run(self.stage(data))
        self.undo = staged_import.undo
        return outcome


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(settings, "_shared", [])
    backends._local_backend.cache_clear()
    return World(tmp_path)


def test_new_properties_replace_those_of_an_earlier_import(world: World) -> None:
    world.image.extra_properties = {
        "mine": "x",
        "acts.old": "1",
        "douane_code": "evil",
        "douane_outcome": "refused",
        "douane_reason": "it was",
        "os_glance_import_task": "t",
    }
    assert isinstance(world.run(b"good"), Changes)
    assert world.image.extra_properties == {
        "mine": "x",
        "os_glance_import_task": "t",
        "acts.seen": "4",
        "acts.declared": "mine",
        "acts.owner": "a project",
    }
    assert (world.wrapper.saves, world.image.size, world.path.read_bytes()) == (1, 4, b"good")
    requeue(world.wrapper, REASON, [], world.undo)
    assert not any(name.startswith("acts.") for name in world.image.extra_properties)


def test_a_refusal_saves_nothing(world: World) -> None:
    outcome = world.run(b"EVIL")
    assert outcome == Reason("refused", "evil", "The image is refused: there is evil in it")
    assert (world.wrapper.saves, world.image.status) == (0, "importing")


def test_a_transformed_image_replaces_the_staged_image(world: World) -> None:
    world.plan(f'[[plugin]]\nname = "unpack"\nuse = "decompress"\n{world.acts}')
    assert isinstance(world.run(gzip.compress(b"good" * 1000)), Changes)
    assert world.path.read_bytes() == b"good" * 1000
    assert world.image.size == 4000
    assert world.image.extra_properties["acts.seen"] == "4000"
    assert [path.name for path in world.staging.iterdir()] == [ID]


@pytest.mark.parametrize(
    ("binding", "service_roles", "is_unpacked"),
    [
        *(('only = "import"', (), True), ('only = "upload"', (), False)),
        *(('exempt_roles = ["service"]', (), True), ('exempt_roles = ["service"]', ("service",), False)),
        ('exempt_roles = ["member"]', (), False),
    ],
)
def test_a_transform_may_be_for_other_images(
    world: World, binding: str, service_roles: tuple[str, ...], is_unpacked: bool
) -> None:
    world.plan(f'[[plugin]]\nname = "unpack"\nuse = "decompress"\n{binding}\n{world.acts}')
    packed = gzip.compress(b"good" * 1000)
    assert isinstance(world.run(packed, service_roles=service_roles), Changes)
    expected = b"good" * 1000 if is_unpacked else packed
    assert world.path.read_bytes() == expected
    assert world.image.extra_properties["acts.seen"] == str(len(expected))
    assert [path.name for path in world.staging.iterdir()] == [ID]


def test_a_refused_transformed_image_leaves_no_file(world: World) -> None:
    world.plan(f'[[plugin]]\nname = "unpack"\nuse = "decompress"\n{world.acts}')
    packed = gzip.compress(b"EVIL" * 1000)
    assert isinstance(world.run(packed), Reason)
    assert world.path.read_bytes() == packed
    assert [path.name for path in world.staging.iterdir()] == [ID]


def test_a_plan_that_begins_to_change_images_meanwhile_refuses_them(world: World) -> None:
    """As the agent's plan may."""
    world.plan('[[plugin]]\nname = "unpack"\nuse = "decompress"\n')
    backends.import_backend(settings.process_settings()).transforms = False
    outcome = world.run(gzip.compress(b"good"))
    assert isinstance(outcome, Reason)
    assert (outcome.outcome, world.wrapper.saves) == ("undecided", 0)
    assert isinstance(world.run(b"not packed"), Changes)


def attestation(world: World, data: bytes) -> Attestation:
    """The attestation of a filter that accepted `data`."""
    tag = Tag()
    tag.update(data)
    return Attestation(
        size=len(data),
        key=tag.key,
        tag=tag.finish(),
        plan=backends.import_backend(settings.process_settings()).digest,
        properties={"acts.seen": 77},
        disk_format="raw",
        container_format="bare",
        virtual_size=4,
        at=0.0,
    )


def test_attested_bytes_are_not_inspected_again(world: World) -> None:
    attestations = Attestations(str(world.state))
    attestations.save(ID, attestation(world, b"EVIL"))  # an inspection would refuse it
    assert isinstance(world.run(b"EVIL"), Changes)
    assert world.image.extra_properties == {"acts.seen": "77"}
    assert world.image.virtual_size == 4
    assert attestations.find(ID) is None  # it is used up
    assert isinstance(world.run(b"EVIL"), Reason)


def test_other_bytes_another_plan_or_the_setting_again_mean_a_new_inspection(world: World) -> None:
    attestations = Attestations(str(world.state))
    attestations.save(ID, attestation(world, b"GOOD"))
    assert isinstance(world.run(b"EVIL"), Reason)
    attestations.save(ID, attestation(world, b"EVIL"))
    settings.share(Settings(str(world.config), state=str(world.state), again=True))
    assert isinstance(world.run(b"EVIL"), Reason)
    settings.share(Settings(str(world.config), state=str(world.state)))
    attestations.save(ID, attestation(world, b"EVIL"))
    world.plan(f'{world.acts}timeout = "5m"\n')
    assert isinstance(world.run(b"EVIL"), Reason)


def test_attested_bytes_get_their_bill_of_the_list_that_was_attested(world: World, tmp_path: Path) -> None:
    folder = str(world.state)
    settings.share(Settings(str(world.config), state=folder, summaries=folder, bills=folder))
    package = Package("bash", "5", "", "", ("deb", "amd64", "", "var/lib/dpkg/status", False))
    document = document_of(Inventory([System("disk", {"ID": "debian"}, [package])], []))
    record = InventoryRecord(image=ID, task="", sha256="a" * 64, document=document)
    accepted = msgspec.structs.replace(attestation(world, b"EVIL"), summary={"payload": ""}, inventory=record)
    attestations = Attestations(folder)
    attestations.save(ID, accepted)
    assert isinstance(world.run(b"EVIL"), Changes)
    bill = json.loads((world.state / f"{ID}.cdx.json").read_text())
    assert [component["name"] for component in bill["components"]] == ["debian", "bash"]
    assert bill["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    attestations.save(ID, msgspec.structs.replace(accepted, inventory=None))  # an earlier release did not look
    assert isinstance(world.run(b"EVIL"), Reason)


def test_incomplete_staged_data_is_not_imported(world: World) -> None:
    staged = world.stage(b"good, and more")
    world.path.write_bytes(b"good")
    outcome = StagedImport(ID, "glance-direct", world.wrapper, world.wrapper, []).run(staged)
    assert isinstance(outcome, Reason)
    assert outcome.code == "staged-incomplete"
    world.image.size = None  # Glance does not know the size of what it downloads
    assert isinstance(StagedImport(ID, "web-download", world.wrapper, world.wrapper, []).run(staged), Changes)


NAMESPACE = "a plugin's own properties"
NEW = "new properties"
ALL = "properties at all"


@pytest.mark.parametrize("refused", [NAMESPACE, NEW, ALL])
@pytest.mark.parametrize("is_transformed", [False, True])
def test_an_image_gets_in_without_the_properties_that_its_site_does_not_store(
    world: World, refused: str, is_transformed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    world.image.extra_properties = before = {"mine": "x", "douane_code": "of an earlier attempt"}

    def refuse(image: FakeImage) -> None:
        names = image.extra_properties.keys()
        if (
            (refused == NAMESPACE and any(name.startswith("acts.") for name in names))
            or (refused == NEW and names - before.keys())
            or (refused == ALL and image.extra_properties != before)
        ):
            raise ValueError("the site does not store them")

    world.wrapper = Wrapper(world.image, refuse)
    data = b"good" * 1000
    if is_transformed:
        world.plan(f'[[plugin]]\nname = "unpack"\nuse = "decompress"\n{world.acts}')
    assert isinstance(world.run(gzip.compress(data) if is_transformed else data), Changes)
    assert world.image.extra_properties == (before if refused == ALL else {"mine": "x"})
    assert (world.image.size, world.path.read_bytes()) == (4000, data)
    assert "properties cannot be set: ValueError('the site does not store them')" in caplog.text
    assert "left out: " in caplog.text


def test_an_image_whose_new_size_cannot_be_saved_is_not_imported(world: World) -> None:
    def refuse(image: FakeImage) -> None:
        raise OSError("the database is away")

    world.wrapper = Wrapper(world.image, refuse)
    world.plan(f'[[plugin]]\nname = "unpack"\nuse = "decompress"\n{world.acts}')
    outcome = world.run(gzip.compress(b"good" * 1000))
    assert isinstance(outcome, Reason)
    assert outcome.outcome == "undecided"


@pytest.mark.parametrize("error", [NotFound, TaskAbortedError])
def test_an_image_that_was_deleted_or_taken_over_is_not_imported(world: World, error: type[Exception]) -> None:
    def refuse(image: FakeImage) -> None:
        raise error

    world.wrapper = Wrapper(world.image, refuse)
    assert isinstance(world.run(b"good"), Reason)


@pytest.mark.parametrize("broken", ["[[plugin]]\n", '[[plugin]]\nname = "x"\nuse = "no-such-plugin"\n', ""])
def test_a_plan_that_breaks_lets_no_image_in_until_it_is_fixed(world: World, broken: str) -> None:
    assert isinstance(world.run(b"good"), Changes)
    world.plan(broken)
    outcome = world.run(b"good")
    assert isinstance(outcome, Reason)
    assert (outcome.outcome, outcome.code) == ("undecided", "wrong-configuration")
    world.config.unlink()
    assert isinstance(world.run(b"good"), Reason)
    world.plan(world.acts)
    assert isinstance(world.run(b"good"), Changes)


def test_a_plan_is_loaded_once_until_it_changes(world: World) -> None:
    current = settings.process_settings()
    assert backends.import_backend(current) is backends.import_backend(current)
    first = backends.import_backend(current)
    world.plan(f'{world.acts}timeout = "5m"\n')
    assert backends.import_backend(current) is not first
