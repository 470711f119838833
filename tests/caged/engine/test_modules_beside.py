"""Modules and data beside a plugin's file: what the plan lists can be imported and read, and nothing more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from douane.errors import PlanError
from douane.plan import code
from douane.plan.modules import Modules
from douane.report import Report, Verdict

Run = Callable[..., Report]


def by_name(report: Report) -> dict[str, Verdict]:
    """The verdicts of a report, by the plugin's name."""
    return {verdict.plugin: verdict for verdict in report.verdicts}


PLUGIN = """
from pathlib import Path
import helper
from douane_plugin import Inspector
from rules.engine import verdict

HERE = Path(__file__).parent


def outcome(attempt):
    try:
        attempt()
    except OSError:
        return "refused"
    return "done"


class AV(Inspector):
    def inspect(self, image):
        return {
            "helper": helper.answer(),
            "rules": verdict(),
            "data": (HERE / "rules" / "site.yar").read_text().strip(),
            "words": (HERE / "words.txt").read_text().strip(),
            "read_other": outcome((HERE / "secret.txt").read_text),
            "read_plan": outcome((HERE.parent / "plan.toml").read_text),
            "write_module": outcome(lambda: open(HERE / "helper.py", "a")),
            "write_data": outcome(lambda: open(HERE / "rules" / "site.yar", "r+")),
            "new_file": outcome(lambda: open(HERE / "rules" / "new.py", "w")),
            "remove": outcome((HERE / "rules" / "site.yar").unlink),
        }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "checks"
    (place / "rules").mkdir(parents=True)
    (place / "av.py").write_text(PLUGIN)
    (place / "helper.py").write_text("def answer():\n    return 42\n")
    (place / "rules" / "__init__.py").touch()
    (place / "rules" / "engine.py").write_text("from .constants import SEVEN\ndef verdict():\n    return SEVEN\n")
    (place / "rules" / "constants.py").write_text("SEVEN = 7\n")
    (place / "rules" / "site.yar").write_text("rule a {}\n")
    (place / "words.txt").write_text("words\n")
    (place / "secret.txt").write_text("secret\n")
    return place


def plan(folder: Path, modules: str) -> str:
    return f'[[plugin]]\nname = "av"\nuse = "{folder}/av.py:AV"\n{modules}\n'


def test_what_the_plan_lists_can_be_imported_and_read_and_nothing_more(run: Run, folder: Path) -> None:
    report = run(b"x", toml=plan(folder, 'modules = ["helper.py", "rules/", "words.txt"]'))
    assert report.outcome == "accepted", report
    answers = {name.removeprefix("av."): value for name, value in by_name(report)["av"].properties.items()}
    assert answers == {
        "helper": 42,
        "rules": 7,
        "data": "rule a {}",
        "words": "words",
        **dict.fromkeys(("read_other", "read_plan", "write_module", "write_data", "new_file", "remove"), "refused"),
    }


def test_the_digest_in_the_report_changes_with_a_module(run: Run, folder: Path) -> None:
    toml = plan(folder, 'modules = ["helper.py", "rules/", "words.txt"]')
    before = by_name(run(b"x", toml=toml))["av"].ran.code_sha256
    (folder / "rules" / "constants.py").write_text("SEVEN = 8\n")
    report = run(b"x", toml=toml)
    assert by_name(report)["av"].ran.code_sha256 != before
    assert by_name(report)["av"].properties["av.rules"] == 8


@pytest.mark.parametrize(
    ("modules", "key"),
    [
        ("", 'modules = ["helper.py"]'),
        ('modules = ["helper.py"]', 'modules = ["helper.py", "rules/"]'),
    ],
)
def test_without_the_key_the_error_says_which_key_to_set(run: Run, folder: Path, modules: str, key: str) -> None:
    with pytest.raises(PlanError) as error:
        run(b"x", toml=plan(folder, modules))
    assert f"is beside the plugin's file, and the sandbox shows the plugin only what the plan lists: set {key}" in str(
        error.value
    )


def test_a_data_file_that_the_plan_does_not_list_is_named_with_the_key(run: Run, folder: Path) -> None:
    report = run(b"x", toml=plan(folder, 'modules = ["helper.py", "rules/"]'))
    detail = by_name(report)["av"].detail or ""
    assert by_name(report)["av"].outcome == "failed"
    assert 'set modules = ["helper.py", "rules/", "words.txt"]' in detail.splitlines()[-1]


def test_a_module_that_is_imported_while_the_plugin_runs_is_named_as_well(run: Run, folder: Path) -> None:
    (folder / "av.py").write_text(
        "from douane_plugin import Inspector\nclass AV(Inspector):\n"
        "    def inspect(self, image):\n        import helper.deep\n"
    )
    detail = by_name(run(b"x", toml=plan(folder, "")))["av"].detail or ""
    assert detail.endswith('set modules = ["helper.py"]')


def test_a_module_that_is_nowhere_gets_no_advice_about_the_plan(run: Run, folder: Path) -> None:
    (folder / "av.py").write_text("import helpers_of_nobody\n")
    with pytest.raises(PlanError, match=r"No module named 'helpers_of_nobody'. helpers_of_nobody is not installed in"):
        run(b"x", toml=plan(folder, ""))


def test_a_link_that_appears_after_the_plan_was_read_leads_nowhere(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever can write into the folder must not make the plugin read another file."""
    read_modules = code.read_modules

    def read_and_plant(file: str, entries: tuple[str, ...]) -> Modules:
        read = read_modules(file, entries)
        (folder / "rules" / "leak").symlink_to(folder / "secret.txt")
        return read

    (folder / "av.py").write_text(
        "from pathlib import Path\nfrom douane_plugin import Inspector\nclass AV(Inspector):\n"
        "    def inspect(self, image):\n"
        "        return {'leak': (Path(__file__).parent / 'rules' / 'leak').read_text()}\n"
    )
    monkeypatch.setattr(code, "read_modules", read_and_plant)
    verdict = by_name(run(b"x", toml=plan(folder, 'modules = ["rules/"]')))["av"]
    assert (verdict.outcome, verdict.properties) == ("failed", {})


@pytest.mark.parametrize("statement", ["from . import helper", "from .helper import answer"])
def test_a_relative_import_is_explained(run: Run, folder: Path, statement: str) -> None:
    (folder / "av.py").write_text(f"{statement}\n")
    with pytest.raises(PlanError, match="A plugin in a file is in no package: write `import helper`"):
        run(b"x", toml=plan(folder, ""))
