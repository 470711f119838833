"""`make guest-matrix`: its fixed part is read without a difference, what it builds is what the real tools know, and a
difference is noticed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))  # the repository's own bench, which is not installed

from bench.guest_matrix import run, table
from bench.guest_matrix.cells import STACKED, can_be, cells
from bench.guest_matrix.check import EQUAL, NOT_BUILT, REPORTED, SILENT, Outcome, judge
from bench.guest_matrix.containers import CONTAINERS
from bench.guest_matrix.facts import Reading, facts_of_folder
from bench.guest_matrix.lvm_volumes import linear, raid, thin
from bench.guest_matrix.md_arrays import members_of
from bench.guest_matrix.run import Result
from bench.guest_matrix.tables import TABLES
from bench.guest_matrix.volumes import VOLUMES
from bench.guest_matrix.workshop import Workshop

from support.sizes import ALL

TOP = Path(__file__).resolve().parents[3]
RESULT = TOP / "bench/guest_matrix/result.tsv"
PAGE = TOP / "docs/guest-formats.md"


def results_of(tmp_path: Path, *options: str) -> list[Result]:
    """What the command says, which ends with 0."""
    words = [sys.executable, "-m", "bench.guest_matrix", "--quiet", "--tsv", tmp_path / "result", *options]
    process = subprocess.run(words, cwd=TOP, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    return table.from_tsv((tmp_path / "result").read_text())


@pytest.mark.timeout(7200 if ALL else 600)
def test_every_image_that_can_be_built_is_read_as_the_kernel_shows_it_and_as_it_was_packed(tmp_path):
    results = results_of(tmp_path, *([] if ALL else ["--fixed"]))
    built = [result for result in results if result.outcome.status != NOT_BUILT]
    assert all(result.outcome.status == result.expects for result in built)
    without_loop_devices = ("exfat",)
    missing = [result.name for result in results if result not in built]
    assert ALL or all(any(word in name for word in without_loop_devices) for name in missing)
    values = {value for result in built for value in result.key}
    assert values >= {*TABLES, *VOLUMES, *STACKED, "OVA", "xz"} - ({"exfat"} if missing else set())
    assert values >= {name for name, container in CONTAINERS.items() if not container.is_transformed}


def test_the_page_has_the_tables_of_the_stored_result():
    page = PAGE.read_text()
    assert table.in_page(page, table.from_tsv(RESULT.read_text())) == page


def test_the_cells_are_pairwise_complete():
    chosen = cells()
    assert all(can_be(cell) for cell in chosen)
    assert {cell.container for cell in chosen if cell.filesystem == "ext4"} == set(CONTAINERS)
    for first, first_values, second, second_values in [
        (0, CONTAINERS, 1, TABLES),
        (0, CONTAINERS, 2, VOLUMES),
        (0, CONTAINERS, 3, STACKED),
        (1, TABLES, 3, STACKED),
        (2, VOLUMES, 3, STACKED),
    ]:
        pairs = {(cell[first], cell[second]) for cell in chosen}
        assert pairs == {(value, partner) for value in first_values for partner in second_values}


def image_with_data(tmp_path: Path) -> Path:
    image = tmp_path / "image"
    image.write_bytes(b"".join(b"%07d " % number * 512 for number in range(700)))
    return image


@pytest.mark.parametrize("kind", ["md 0", "md 1", "md 5", "md 6", "md 10"])
def test_mdadm_takes_the_members_that_are_made_without_the_driver_for_a_whole_array(tmp_path, kind):
    members = members_of(kind, image_with_data(tmp_path), tmp_path, 4)
    for number, member in enumerate(members):
        output = subprocess.run(["mdadm", "--examine", member], capture_output=True, text=True, check=True).stdout
        assert f"Raid Level : raid{kind.split()[1]}" in output
        assert " - correct" in output
        assert f"Device Role : Active device {number}" in output
        assert f"Array State : {'A' * len(members)} " in output


@pytest.mark.parametrize("make", [linear, raid("raid6", 5), thin], ids=["linear", "raid6", "thin"])
def test_lvm_takes_the_physical_volumes_that_are_made_without_the_device_mapper_for_its_own(tmp_path, make):
    for member in make(image_with_data(tmp_path), tmp_path, 4):
        words = ["pvck", "--dump", "headers", member]
        process = subprocess.run(words, capture_output=True, text=True, check=False)
        assert process.returncode == 0, process.stderr
        assert "CHECK" not in process.stdout + process.stderr
        assert "metadata text at" in process.stdout


def test_a_difference_without_a_word_is_silent_and_a_missing_entry_that_is_listed_is_reported(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "another").write_bytes(b"content")
    truth = facts_of_folder(tmp_path)
    assert judge([("tree", truth, truth)], Reading(truth, ["disk"], [])).status == EQUAL
    changed = truth | {b"file": truth[b"file"]._replace(sha256="0" * 64)}
    shorter = {path: fact for path, fact in truth.items() if path != b"file"}
    for listing in (changed, shorter, truth | {b"more": truth[b"file"]}):
        assert judge([("tree", truth, listing)], Reading(listing, ["disk"], [])).status == SILENT
    assert judge([("tree", truth, shorter)], Reading(shorter, ["disk"], ["disk:/file: broken"])).status == REPORTED
    assert judge([("tree", truth, changed)], Reading(changed, ["disk"], ["disk:/file: broken"])).status == SILENT
    assert judge([("tree", truth, truth)], Reading(truth, ["disk", "p1"], [])).status == SILENT


def test_the_table_counts_who_was_asked_of_each_image():
    truths = ("kernel and packed tree", "kernel after its replay", "second kernel and packed tree", "packed tree", "")
    results = [
        Result("file systems", str(number), "ext4", (), EQUAL, Outcome(EQUAL, truth))
        for number, truth in enumerate(truths)
    ]
    (_, rows), *_ = table.tables(results)
    assert rows[-1][-2:] == ("2", "1")


def test_an_exception_in_a_cell_is_a_fault_of_that_cell(tmp_path):
    result = run.check(Workshop(tmp_path), run.Job(run.FILE_SYSTEMS, "cell", "no such recipe"), {})
    assert result.is_fault
    assert any("KeyError" in line for line in result.outcome.differences)
