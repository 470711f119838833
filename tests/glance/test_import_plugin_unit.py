"""The parts of the import plugin that need no Glance; the engine and its cages are real."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from image_doubles import Image, NotFound, TaskAbortedError, Wrapper

from douane.engine import PlanError, SinkError, SourceError
from douane.glance import (
    file_backends as file_gates,
)
from douane.glance import (
    import_plugin as importing,
)
from douane.glance import (
    journal,
    settings,
)
from douane.glance import (
    outcome as giving_back,
)
from douane.glance.outcome import Before, Reason, give_back
from douane.glance.staged.attestation import Inspected, Records
from douane.glance.staged.staged_file import StagedFile
from douane.glance.staged.staged_import import Applied, StagedImport
from douane.glance.staged.tag import Tag

ID = Wrapper.image_id
REASON = Reason("refused", "evil", "there is evil in it")
PLUGIN = """
from douane_plugin import Inspector, Reject

class Acts(Inspector):
    def inspect(self, image):
        data = b"".join(bytes(each) for each in image)
        if b"EVIL" in data:
            raise Reject("evil", "there is evil in it")
        return {"seen": len(data), "declared": ",".join(sorted(image.properties)), "owner": str(image.owner)}
"""


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(giving_back, "PAUSES", (0.0, 0.0))


# ---- giving an image back


def test_reason_state_and_stores_are_saved_at_once() -> None:
    wrapper = Wrapper(Image(size=5, extra_properties={"mine": "x"}))
    assert give_back(wrapper, REASON, ["fast"], Before())
    image = wrapper.image
    assert (image.status, image.size, wrapper.saved) == ("queued", None, 1)
    assert image.extra_properties == {
        "mine": "x",
        "douane_outcome": "refused",
        "douane_code": "evil",
        "douane_reason": "there is evil in it",
        "os_glance_failed_import": "fast",
        "os_glance_importing_to_stores": "",
    }


def test_the_image_is_given_back_also_where_the_reason_cannot_be_set() -> None:
    def full(image: Image) -> None:
        if "douane_code" in image.extra_properties:
            raise ValueError("the quota of properties is reached")

    wrapper = Wrapper(Image(), full)
    assert give_back(wrapper, REASON, ["fast"], Before({"disk_format": "qcow2"}))
    assert wrapper.image.status == "queued"
    assert wrapper.image.disk_format == "qcow2"
    assert wrapper.image.extra_properties["os_glance_failed_import"] == "fast"


def test_a_database_that_is_away_for_a_moment_is_asked_again() -> None:
    left = [1, 2, 3]

    def away(image: Image) -> None:
        if left:
            left.pop()
            raise OSError("the database is away")

    wrapper = Wrapper(Image(), away)
    assert give_back(wrapper, REASON, [], Before())
    assert wrapper.image.status == "queued"


def test_it_is_told_when_nothing_can_be_saved() -> None:
    def away(image: Image) -> None:
        raise OSError("the database is away")

    wrapper = Wrapper(Image(), away)
    assert not give_back(wrapper, REASON, [], Before())
    assert wrapper.image.status == "importing"


@pytest.mark.parametrize("error", [NotFound, TaskAbortedError])
def test_an_image_that_is_anothers_or_gone_is_left_alone(error: type[Exception]) -> None:
    asked = []

    def refuse(image: Image) -> None:
        asked.append(image)
        raise error

    assert give_back(Wrapper(Image(), refuse), REASON, [], Before())
    assert len(asked) == 1


@pytest.mark.parametrize("status", ["active", "queued"])
def test_an_image_that_is_not_importing_keeps_its_status_and_format(status: str) -> None:
    wrapper = Wrapper(Image(status=status, size=7))
    assert give_back(wrapper, REASON, ["second"], Before({"disk_format": "qcow2"}))
    assert (wrapper.image.status, wrapper.image.size, wrapper.image.disk_format) == (status, 7, "raw")


def test_what_the_import_had_set_is_undone() -> None:
    wrapper = Wrapper(Image(extra_properties={"acts.seen": "5", "hw_disk_bus": "scsi"}))
    give_back(wrapper, REASON, [], Before({}, {"acts.seen": None, "hw_disk_bus": "virtio"}))
    assert "acts.seen" not in wrapper.image.extra_properties
    assert wrapper.image.extra_properties["hw_disk_bus"] == "virtio"


def test_a_reason_is_text_that_every_database_takes() -> None:
    told = Reason("refused", "c", "a\U0001f600b\nc\0" + "x" * 5000).properties()["douane_reason"]
    assert told.startswith("a?b?c?x")
    assert len(told) == 1000


# ---- the staged file


def uri(folder: Path, data: bytes = b"data") -> str:
    (folder / ID).write_bytes(data)
    return f"file://{folder / ID}"


def test_only_a_regular_file_of_this_image_is_opened(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    wrong = [f"file://{tmp_path / 'secret'}", f"http://host/{ID}", f"file://{tmp_path / ID}", str(tmp_path / ID)]
    for each in wrong:
        with pytest.raises(SourceError):
            StagedFile(each, ID)
    for make in (
        lambda path: path.symlink_to(tmp_path / "secret"),
        lambda path: path.mkdir(),
        os.mkfifo,
    ):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        make(folder / ID)
        with pytest.raises(SourceError):
            StagedFile(f"file://{folder / ID}", ID)


def test_a_result_takes_the_place_of_the_staged_file(tmp_path: Path) -> None:
    staged = StagedFile(uri(tmp_path), ID)
    (tmp_path / ID).chmod(0o640)
    (tmp_path / f"{ID}.douane").write_bytes(b"left over")
    result = staged.beside()
    os.write(result.fd, b"another")
    result.finish(7)
    staged.become(result)
    result.discard()
    assert (tmp_path / ID).read_bytes() == b"another"
    assert staged.size == 7
    assert [path.name for path in tmp_path.iterdir()] == [ID]
    staged.close()
    staged.discard()
    assert not list(tmp_path.iterdir())


def test_what_was_staged_since_is_not_deleted(tmp_path: Path) -> None:
    staged = StagedFile(uri(tmp_path), ID)
    (tmp_path / "new").write_bytes(b"the next attempt")
    (tmp_path / "new").rename(tmp_path / ID)
    assert not staged.is_there()
    staged.discard()
    staged.close()
    assert (tmp_path / ID).read_bytes() == b"the next attempt"


def test_a_result_that_is_not_used_goes(tmp_path: Path) -> None:
    staged = StagedFile(uri(tmp_path), ID)
    staged.beside().discard()
    staged.close()
    assert [path.name for path in tmp_path.iterdir()] == [ID]
    with pytest.raises(SinkError, match="gone"):
        StagedFile(uri(tmp_path), ID).__class__.beside(_in(tmp_path / "gone"))


def _in(folder: Path) -> StagedFile:
    folder.mkdir()
    staged = StagedFile(uri(folder), ID)
    staged.close()
    (folder / ID).unlink()
    folder.rmdir()
    return staged


def tagged(data: bytes) -> Tag:
    tag = Tag()
    tag.update(data)
    return tag


def test_a_staged_file_is_known_by_its_tag_from_its_first_byte_to_its_last(tmp_path: Path) -> None:
    data = os.urandom((3 << 20) + 5)
    staged = StagedFile(uri(tmp_path, data), ID)
    tag = tagged(data)
    end = tag.end()
    for _ in range(2):
        assert staged.has_tag(tag.key, end)
    assert not staged.has_tag(os.urandom(32), end)
    for other in (data[:-1], data + b"\0", b"\1" + data[1:], data[:-1] + bytes([data[-1] ^ 1]), b""):
        assert not staged.has_tag(tag.key, tagged_with(tag.key, other))
    staged.close()


def tagged_with(key: bytes, data: bytes) -> bytes:
    tag = Tag(key)
    tag.update(data)
    return tag.end()


# ---- the journal

BEGIN = """
import sys
from douane.glance import journal
entry = journal.begin(sys.argv[1], "task-of-another", {"image": "i", "task": "task-of-another", "stores": []})
print("begun", flush=True)
sys.stdin.read()
"""


def test_an_import_is_found_when_its_process_was_killed(tmp_path: Path) -> None:
    words = [sys.executable, "-c", BEGIN, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        assert list(journal.left(str(tmp_path))) == []
        process.kill()
        process.wait()
    (entry,) = journal.left(str(tmp_path))
    assert entry.facts["task"] == "task-of-another"
    assert list(journal.left(str(tmp_path))) == []  # whoever looks has it
    entry.leave()
    (entry,) = journal.left(str(tmp_path))
    entry.end()
    assert list(journal.left(str(tmp_path))) == []


def test_facts_are_added_while_it_goes_on(tmp_path: Path) -> None:
    entry = journal.begin(str(tmp_path), "t", {"image": "i"})
    entry.note({"attributes": {"disk_format": "qcow2"}})
    assert list(journal.left(str(tmp_path))) == []
    entry.leave()
    (found,) = journal.left(str(tmp_path))
    assert found.facts == {"image": "i", "attributes": {"disk_format": "qcow2"}}
    found.end()
    found.end()


def test_what_is_no_entry_is_passed_over(tmp_path: Path) -> None:
    assert list(journal.left(str(tmp_path))) == []
    folder = tmp_path / journal.FOLDER
    folder.mkdir()
    (folder / "empty").touch()
    (folder / "list").write_text("[]")
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "folder").mkdir()
    assert list(journal.left(str(tmp_path))) == []


# ---- one import

Run = Callable[..., "Applied | Reason"]


class World:
    """A plan, a staging folder, an image, and an import of it."""

    def __init__(self, folder: Path) -> None:
        self.staging = folder / "staging"
        self.state = folder / "state"
        self.staging.mkdir()
        self.state.mkdir()
        (folder / "acts.py").write_text(PLUGIN)
        self.config = folder / "douane.toml"
        self.acts = f'[[plugin]]\nname = "acts"\nuse = "{folder / "acts.py"}:Acts"\n'
        self.plan(self.acts)
        self.image = Image()
        self.wrapper = Wrapper(self.image)
        self.before = Before()
        settings.tell(settings.Settings(str(self.config), state=str(self.state)))

    def plan(self, text: str) -> None:
        new = self.config.with_suffix(".new")
        new.write_text(text)
        new.rename(self.config)

    @property
    def path(self) -> Path:
        return self.staging / ID

    def stage(self, data: bytes) -> str:
        self.image.size = len(data)
        return uri(self.staging, data)

    def run(self, data: bytes, method: str = "glance-direct") -> Applied | Reason:
        one = StagedImport(ID, method, self.wrapper, self.wrapper, ["member"])
        told = one.run(self.stage(data))
        self.before = one.before
        return told


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(settings, "_told", [])
    monkeypatch.setattr(file_gates, "_known", [])
    return World(tmp_path)


def test_what_was_found_is_set_and_what_was_found_before_is_not_there_any_more(world: World) -> None:
    world.image.extra_properties = {
        "mine": "x",
        "acts.old": "1",
        "douane_code": "evil",
        "douane_outcome": "refused",
        "douane_reason": "it was",
        "os_glance_import_task": "t",
    }
    assert isinstance(world.run(b"good"), Applied)
    assert world.image.extra_properties == {
        "mine": "x",
        "os_glance_import_task": "t",
        "acts.seen": "4",
        "acts.declared": "mine",
        "acts.owner": "a project",
    }
    assert (world.wrapper.saved, world.image.size, world.path.read_bytes()) == (1, 4, b"good")
    give_back(world.wrapper, REASON, [], world.before)
    assert not any(name.startswith("acts.") for name in world.image.extra_properties)


def test_a_refusal_changes_nothing_by_itself(world: World) -> None:
    told = world.run(b"EVIL")
    assert told == Reason("refused", "evil", "The image is refused: there is evil in it")
    assert (world.wrapper.saved, world.image.status) == (0, "importing")


def test_a_transformed_image_replaces_the_staged_one(world: World) -> None:
    world.plan(f'[[plugin]]\nname = "unpack"\nuse = "decompress"\n{world.acts}')
    assert isinstance(world.run(gzip.compress(b"good" * 1000)), Applied)
    assert world.path.read_bytes() == b"good" * 1000
    assert world.image.size == 4000
    assert world.image.extra_properties["acts.seen"] == "4000"
    assert [path.name for path in world.staging.iterdir()] == [ID]


def test_a_transformed_image_that_is_refused_leaves_no_file_beside(world: World) -> None:
    world.plan(f'[[plugin]]\nname = "unpack"\nuse = "decompress"\n{world.acts}')
    packed = gzip.compress(b"EVIL" * 1000)
    assert isinstance(world.run(packed), Reason)
    assert world.path.read_bytes() == packed
    assert [path.name for path in world.staging.iterdir()] == [ID]


def test_a_plan_that_changes_images_by_now_and_did_not_when_it_was_asked_lets_none_in(world: World) -> None:
    """As the agent's may, which reads its configuration again."""
    world.plan('[[plugin]]\nname = "unpack"\nuse = "decompress"\n')
    file_gates.file_gate(settings.of_this_process()).transforms = False
    told = world.run(gzip.compress(b"good"))
    assert isinstance(told, Reason)
    assert (told.outcome, world.wrapper.saved) == ("undecided", 0)
    assert isinstance(world.run(b"not packed"), Applied)


def known(world: World, data: bytes) -> Inspected:
    """What a filter that let `data` in would have written down."""
    tag = tagged(data)
    return Inspected(
        size=len(data),
        key=tag.key,
        tag=tag.end(),
        plan=file_gates.file_gate(settings.of_this_process()).digest,
        properties={"acts.seen": 77},
        disk_format="raw",
        container_format="bare",
        virtual_size=4,
        at=0.0,
    )


def test_what_was_inspected_when_it_was_staged_is_not_inspected_again(world: World) -> None:
    records = Records(str(world.state))
    records.keep(ID, known(world, b"EVIL"))  # inspected, it would be refused
    assert isinstance(world.run(b"EVIL"), Applied)
    assert world.image.extra_properties == {"acts.seen": "77"}
    assert world.image.virtual_size == 4
    assert records.find(ID) is None  # it is used up
    assert isinstance(world.run(b"EVIL"), Reason)


def test_other_bytes_another_plan_or_an_operator_who_says_so_are_inspected_again(world: World) -> None:
    records = Records(str(world.state))
    records.keep(ID, known(world, b"GOOD"))
    assert isinstance(world.run(b"EVIL"), Reason)
    records.keep(ID, known(world, b"EVIL"))
    settings.tell(settings.Settings(str(world.config), state=str(world.state), again=True))
    assert isinstance(world.run(b"EVIL"), Reason)
    settings.tell(settings.Settings(str(world.config), state=str(world.state)))
    records.keep(ID, known(world, b"EVIL"))
    world.plan(f'{world.acts}timeout = "5m"\n')
    assert isinstance(world.run(b"EVIL"), Reason)


def test_staged_data_that_is_not_whole_is_not_imported(world: World) -> None:
    staged = world.stage(b"good, and more")
    world.path.write_bytes(b"good")
    told = StagedImport(ID, "glance-direct", world.wrapper, world.wrapper, []).run(staged)
    assert isinstance(told, Reason)
    assert told.code == "staged-incomplete"
    world.image.size = None  # Glance does not know the size of what it downloads
    assert isinstance(StagedImport(ID, "web-download", world.wrapper, world.wrapper, []).run(staged), Applied)


def test_an_image_whose_findings_cannot_be_set_does_not_get_in(world: World) -> None:
    def full(image: Image) -> None:
        raise ValueError("the quota of properties is reached")

    world.wrapper = Wrapper(world.image, full)
    told = world.run(b"good")
    assert isinstance(told, Reason)
    assert told.outcome == "undecided"


@pytest.mark.parametrize("broken", ["[[plugin]]\n", '[[plugin]]\nname = "x"\nuse = "no-such-plugin"\n', ""])
def test_a_plan_that_became_broken_lets_nothing_in_until_it_is_mended(world: World, broken: str) -> None:
    assert isinstance(world.run(b"good"), Applied)
    world.plan(broken)
    told = world.run(b"good")
    assert isinstance(told, Reason)
    assert (told.outcome, told.code) == ("undecided", "wrong-configuration")
    world.config.unlink()
    assert isinstance(world.run(b"good"), Reason)
    world.plan(world.acts)
    assert isinstance(world.run(b"good"), Applied)


def test_the_plugins_are_started_to_be_looked_at_once_for_a_plan(world: World) -> None:
    told = settings.of_this_process()
    assert file_gates.file_gate(told) is file_gates.file_gate(told)
    first = file_gates.file_gate(told)
    world.plan(f'{world.acts}timeout = "5m"\n')
    assert file_gates.file_gate(told) is not first


# ---- how Glance finds it


def test_where_it_cannot_run_glance_is_stopped_and_does_not_go_on_without_it() -> None:
    # Without taskflow, which is there in every Glance. stevedore lets AssertionError through, and only that.
    with pytest.raises(AssertionError, match="the import is stopped"):
        importing.get_flow(task_id="t", task_type="api_image_import", image_id=ID)


def test_the_settings_are_the_filters_or_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "_told", [])
    monkeypatch.delenv("DOUANE_CONFIG", raising=False)
    monkeypatch.delenv("DOUANE_AGENT", raising=False)
    with pytest.raises(PlanError, match="DOUANE_CONFIG"):
        settings.of_this_process()
    monkeypatch.setenv("DOUANE_CONFIG", "/etc/douane/of-the-environment.toml")
    monkeypatch.setenv("DOUANE_AGAIN", "true")
    told = settings.of_this_process()
    assert (told.config, told.again) == ("/etc/douane/of-the-environment.toml", True)
    settings.tell(settings.Settings("/etc/douane/of-the-filter.toml"))
    assert settings.of_this_process().config == "/etc/douane/of-the-filter.toml"
    with pytest.raises(PlanError, match="again"):
        settings.read({"config": "x", "again": "perhaps"})
