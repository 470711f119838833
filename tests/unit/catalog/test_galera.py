"""Two nodes of a cluster that are written at once: neither sees the other's locks, and one of two conflicting
transactions is refused at its COMMIT."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import make_url

from douane.catalog import Catalog
from douane.catalog.query import SetField
from douane.errors import CatalogError, Conflict
from support.catalog_servers import on
from support.galera import Galera
from support.waiting import until

pytestmark = pytest.mark.galera


@pytest.fixture
def names(galera: Galera) -> Iterator[tuple[str, str]]:
    """The URLs of a catalog at the two nodes."""
    with on(galera) as url:
        database = str(make_url(url).database)
        yield galera.url(database, 0), galera.url(database, 1)


@pytest.fixture
def nodes(names: tuple[str, str]) -> Iterator[tuple[Catalog, Catalog]]:
    with Catalog(names[0]) as first, Catalog(names[1]) as second:
        yield first, second


def before_commit(catalog: Catalog, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> list[int]:
    """Let `act` happen before the first COMMIT of the catalog; the number of COMMITs since."""
    dialect = catalog._database._engine.dialect
    commit = dialect.do_commit
    commits: list[int] = []

    def committed(connection) -> None:
        commits.append(len(commits))
        if len(commits) == 1:
            act()
        commit(connection)

    monkeypatch.setattr(dialect, "do_commit", committed)
    return commits


def test_a_transaction_that_another_node_was_faster_than_is_taken_again(
    nodes: tuple[Catalog, Catalog], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = nodes
    image = first.create_image(name="x")
    commits = before_commit(first, monkeypatch, lambda: second.add_tag(image.id, "second"))
    assert first.add_tag(image.id, "first").tags == ["first", "second"]
    assert len(commits) > 1, "the first COMMIT was refused"
    assert second.image(image.id).tags == ["first", "second"]


def test_what_a_transaction_reads_and_does_not_change_is_held(
    nodes: tuple[Catalog, Catalog], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = nodes
    image = first.create_image(name="x", visibility="shared")
    private = [SetField("visibility", "private")]
    before_commit(first, monkeypatch, lambda: second.edit(image.id, private))
    with pytest.raises(Conflict, match="only a shared image has members"):
        first.add_member(image.id, "project")
    assert second.members(image.id) == []


def test_what_one_node_has_acknowledged_the_other_shows(nodes: tuple[Catalog, Catalog]) -> None:
    for number in range(20):
        writes, reads = nodes[number % 2], nodes[1 - number % 2]
        image = writes.create_image(name=str(number), properties={"a": "b"})
        assert reads.add_tag(image.id, "t").name == str(number)
        assert writes.image(image.id).tags == ["t"]


def test_a_node_without_the_others_is_away_until_the_cluster_has_a_quorum(
    galera: Galera, names: tuple[str, str]
) -> None:
    with Catalog(names[0]) as catalog:
        image = catalog.create_image(name="x")
        galera.nodes[1].kill()

        def outcome() -> str:
            try:
                catalog.add_tag(image.id, "t")
            except CatalogError as error:
                assert "secret" not in str(error)
                return error.code
            return "done"

        until("the node that is alone refuses", lambda: outcome() == "catalog-io")
        with pytest.raises(CatalogError, match="see that the node has joined the cluster, and that the cluster has"):
            catalog.image(image.id)
        galera.execute("SET GLOBAL wsrep_provider_options = 'pc.bootstrap=true'")
        until("the operator has said that it is the cluster", lambda: outcome() == "done")
        assert catalog.image(image.id).tags == ["t"]
    galera.start_again(1)
    with Catalog(names[1]) as catalog:
        assert catalog.image(image.id).tags == ["t"]
