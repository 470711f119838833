"""The Helm chart: what it renders is valid, and Douane takes the commands and the configuration in it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import click
import pytest
import yaml

from douane.cli.main import douane
from douane.imports.settings import load_settings
from douane.plan.parse import load_plan
from support.deploy.chart import CHART, TOOLS, Document, container, documents, helm, of_kind, rendered

pytestmark = pytest.mark.deploy

FULL = Path(__file__).with_name("values") / "full.yaml"
VALUES = pytest.mark.parametrize("values", [None, FULL], ids=["default", "full"])
DOOR, WORKER = "site-douane-door", "site-douane-worker"


@pytest.fixture(params=[None, FULL], ids=["default", "full"])
def parts(request: pytest.FixtureRequest) -> list[Document]:
    return documents(rendered(request.param))


def volume_names(deployment: Document) -> set[str]:
    return {volume["name"] for volume in deployment["spec"]["template"]["spec"]["volumes"]}


@VALUES
def test_helm_has_nothing_to_say_about_the_chart(values: Path | None) -> None:
    linted = helm("lint", "--strict", str(CHART), *([] if values is None else ["--values", str(values)]))
    assert linted.returncode == 0, linted.stdout + linted.stderr
    assert "[WARNING]" not in linted.stdout


def validated(parts: list[Document], folder: Path) -> subprocess.CompletedProcess[str]:
    """Compare each document with the schema of its kind in Kubernetes."""
    (folder / "all.yaml").write_text(yaml.safe_dump_all(parts))
    words = [TOOLS / "python" / "bin" / "kubernetes-validate", "--strict", "-k", "1.34", folder / "all.yaml"]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_kubernetes_knows_every_key_of_every_document(parts: list[Document], tmp_path: Path) -> None:
    standard = [part for part in parts if part["kind"] != "ServiceMonitor"]
    assert len(standard) >= 9
    checked = validated(standard, tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_validator_refuses_a_key_that_kubernetes_does_not_know(tmp_path: Path) -> None:
    deployment = of_kind(documents(rendered(None)), "Deployment")[DOOR]
    deployment["spec"]["template"]["spec"]["securityContexts"] = {}
    assert validated([deployment], tmp_path).returncode != 0


def test_douane_takes_each_command_of_the_chart(parts: list[Document]) -> None:
    deployments = of_kind(parts, "Deployment")
    assert set(deployments) == {DOOR, WORKER}
    for deployment in deployments.values():
        name, *words = container(deployment)["args"]
        command = douane.get_command(click.Context(douane), name)
        assert command is not None, name
        command.make_context(name, words)  # raises UsageError for an option that does not exist


def test_the_configuration_of_the_chart_can_be_served(parts: list[Document], tmp_path: Path) -> None:
    (config,) = of_kind(parts, "ConfigMap").values()
    path = tmp_path / "douane.toml"
    path.write_text(config["data"]["douane.toml"])
    settings = load_settings(str(path), tmp_path, workers=0)
    assert settings.listen.port == 9292
    assert settings.keystone is not None
    assert settings.database is not None
    assert load_plan(str(path)).plugins
    pods = of_kind(parts, "Deployment")[DOOR]["spec"]["template"]["spec"]
    assert pods["terminationGracePeriodSeconds"] > settings.grace


def test_every_file_that_the_configuration_names_is_mounted(parts: list[Document], tmp_path: Path) -> None:
    (config,) = of_kind(parts, "ConfigMap").values()
    path = tmp_path / "douane.toml"
    path.write_text(config["data"]["douane.toml"])
    settings = load_settings(str(path), tmp_path, workers=0)
    assert settings.keystone is not None
    files = [
        str(settings.keystone.password_file),
        *(store.url.removeprefix("file:") for store in settings.stores.values()),
    ]
    for deployment in of_kind(parts, "Deployment").values():
        places = [mount["mountPath"] for mount in container(deployment)["volumeMounts"]]
        for file in files:
            assert any(file == place or file.startswith(f"{place}/") for place in places), (file, places)
        mounts = {mount["name"] for mount in container(deployment)["volumeMounts"]}
        assert mounts == volume_names(deployment)


def test_no_container_runs_as_root_or_writes_into_its_image(parts: list[Document]) -> None:
    for deployment in of_kind(parts, "Deployment").values():
        pod = deployment["spec"]["template"]["spec"]
        context = container(deployment)["securityContext"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False


def test_the_tier_full_has_what_the_sandbox_needs_and_strict_has_nothing_of_it() -> None:
    for values, tier in ((None, "strict"), (FULL, "full")):
        for deployment in of_kind(documents(rendered(values)), "Deployment").values():
            pod = deployment["spec"]["template"]["spec"]
            opened = (pod.get("hostUsers"), container(deployment)["securityContext"].get("procMount"))
            assert opened == ((False, "Unmasked") if tier == "full" else (None, None))
            assert pod["securityContext"]["seccompProfile"]["type"] == (
                "Localhost" if tier == "full" else "RuntimeDefault"
            )


def test_every_selector_selects_the_pods_it_is_for(parts: list[Document]) -> None:
    labels = {
        name: deployment["spec"]["template"]["metadata"]["labels"]
        for name, deployment in of_kind(parts, "Deployment").items()
    }

    def selected(selector: dict[str, str]) -> set[str]:
        return {name for name, own in labels.items() if selector.items() <= own.items()}

    assert selected(of_kind(parts, "Service")["site-douane"]["spec"]["selector"]) == {DOOR}
    for name in (DOOR, WORKER):
        assert selected(of_kind(parts, "Deployment")[name]["spec"]["selector"]["matchLabels"]) == {name}
        assert selected(of_kind(parts, "PodDisruptionBudget")[name]["spec"]["selector"]["matchLabels"]) == {name}
        assert selected(of_kind(parts, "NetworkPolicy")[name]["spec"]["podSelector"]["matchLabels"]) == {name}


@pytest.mark.parametrize(
    "setting",
    [
        "database.url=sqlite:///x",
        "database.url=postgresql://douane:secret@db/douane",
        "sandbox.tier=off",
        "workers.concurrency=0",
        "plan=nothing",
        "wrokers.replicas=1",
    ],
)
def test_a_wrong_value_is_refused(setting: str) -> None:
    ended = helm("template", "site", str(CHART), "--set", setting)
    assert ended.returncode != 0
    assert "schema" in ended.stderr


def test_a_secret_of_the_sites_own_takes_the_place_of_the_charts() -> None:
    parts = documents(rendered(None, "--set", "secrets.existingSecret=mine"))
    assert of_kind(parts, "Secret") == {}
    volumes = of_kind(parts, "Deployment")[DOOR]["spec"]["template"]["spec"]["volumes"]
    assert next(volume for volume in volumes if volume["name"] == "secrets")["secret"]["secretName"] == "mine"
