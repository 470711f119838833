"""Proofs of what Douane wrote on an image: which images they prove, and which they do not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane.errors import PlanError
from douane.glance.filter import Filter
from douane.glance.proof.key import read_key
from douane.glance.proof.proof import Result, Subject, make_proof, verify
from support.fake_glance import ID, FakeBackend, FakeGlance, Script, proposals, request

KEY = bytes(range(32))
PLUGINS = ("format", "limits")
DIGEST = "5" * 128
BASE = Subject(ID, "sha512", DIGEST, {"format.size": "7", "limits.x": "y", "mine": "x"})


def proven(subject: Subject = BASE, plugins: tuple[str, ...] = PLUGINS) -> Subject:
    """The same with a proof on it."""
    return replace(subject, properties={**subject.properties, "douane_proof": make_proof(KEY, subject, plugins)})


def result(subject: Subject, keys: tuple[bytes, ...] = (KEY,), plugins: tuple[str, ...] = PLUGINS) -> Result:
    return verify(keys, subject, plugins).result


def changed(subject: Subject, **properties: str | None) -> Subject:
    """With other properties; None removes a property."""
    values = {name.replace("__", "."): value for name, value in properties.items()}
    kept = {name: value for name, value in subject.properties.items() if name not in values}
    return replace(subject, properties=kept | {name: value for name, value in values.items() if value is not None})


def test_a_proof_proves_its_image_and_the_tenants_own_properties_are_free() -> None:
    image = proven()
    assert result(image) is Result.PROVEN
    assert result(changed(image, mine="other", new="z")) is Result.PROVEN
    assert result(image, keys=(b"another key, which is older     ", KEY)) is Result.PROVEN


@pytest.mark.parametrize(
    "image",
    [
        changed(proven(), format__size="8"),
        changed(proven(), format__size=None),
        changed(proven(), format__new="1"),
        changed(proven(), limits__x=None, format__x="y"),
        changed(proven(), douane_outcome="refused"),
        replace(proven(), image="7" + ID[1:]),
        replace(proven(), digest="6" * 128),
        replace(proven(), digest=""),
        replace(proven(), algorithm="sha256"),
        replace(proven(), algorithm=""),
        changed(proven(), douane_proof="1:sha512:format,limits:" + "0" * 64),
        changed(proven(), douane_proof="1:sha512::" + "0" * 64),
        changed(proven(), douane_proof="yes"),
        changed(proven(), douane_proof=""),
        changed(proven(), douane_proof=make_proof(KEY, BASE, PLUGINS).replace(",limits", "")),
        changed(proven(), douane_proof=make_proof(b"x" * 32, BASE, PLUGINS)),
    ],
)
def test_what_a_tenant_can_change_is_no_longer_proven(image: Subject) -> None:
    assert result(image) is Result.FALSE


def test_an_image_without_a_proof_is_not_proven_and_the_claims_are_named() -> None:
    verification = verify([KEY], BASE, PLUGINS)
    assert verification.result is Result.UNPROVEN
    assert "format.size, limits.x" in verification.detail


def test_properties_of_a_plugin_that_the_plan_has_got_since_are_not_proven() -> None:
    image = proven(plugins=("format",))
    assert result(image, plugins=("format",)) is Result.PROVEN
    assert "limits.x" in verify([KEY], image, PLUGINS).detail
    assert result(image) is Result.FALSE


def test_another_key_proves_nothing() -> None:
    assert result(proven(), keys=(b"k" * 32,)) is Result.FALSE
    assert result(proven(), keys=()) is Result.FALSE


NAMES = st.sampled_from(["format.a", "format.b", "limits.a", "mine", "other.a"])
VALUES = st.sampled_from(["", "1", "2", '"', "a,b"])


@given(st.dictionaries(NAMES, VALUES), st.dictionaries(NAMES, VALUES))
def test_a_proof_holds_exactly_while_the_properties_of_plugins_stay(
    properties: dict[str, str], later: dict[str, str]
) -> None:
    def own(values: dict[str, str]) -> dict[str, str]:
        return {name: value for name, value in values.items() if name.startswith(("format.", "limits."))}

    image = proven(replace(BASE, properties=properties))
    edited = replace(image, properties={**later, "douane_proof": image.properties["douane_proof"]})
    assert (result(edited) is Result.PROVEN) == (own(properties) == own(later))


# ---- the filter sets it


def filtered(app: FakeGlance, script: Script) -> Filter:
    return Filter(app, FakeBackend(script), None, properties=True, key=KEY)


def subject_of(app: FakeGlance) -> Subject:
    assert app.image is not None
    properties = {name: value for name, value in app.image.items() if isinstance(value, str)}
    return Subject(ID, app.image["os_hash_algo"], app.image["os_hash_value"], properties)


def test_an_uploaded_image_is_proven() -> None:
    """Nothing stays of what the tenant had written before."""
    app = FakeGlance(
        os_hash_algo="sha512", os_hash_value=DIGEST, **{"format.made_up": "1", "douane_proof": "mine", "other": "x"}
    )
    script = Script()
    script.report = {"properties": {"format.size": 7}, "proposed": proposals(hw="v", douane_proof="of a plugin")}
    assert request(filtered(app, script), b"data").code == 204
    image = subject_of(app)
    assert verify([KEY], image, ("format", "evil")).result is Result.PROVEN
    assert json.dumps(app.patches).count("douane_proof") == 1


def test_a_staged_image_is_not_proven_yet() -> None:
    app = FakeGlance(os_hash_algo=None, os_hash_value=None)
    from support.fake_glance import PATH

    assert request(filtered(app, Script()), b"data", path=f"{PATH}/stage").code == 204
    assert app.image is not None
    assert "douane_proof" not in app.image


@pytest.mark.parametrize("digest", [None, "6" * 128])
def test_an_image_with_another_digest_gets_no_proof(digest: str | None, caplog: pytest.LogCaptureFixture) -> None:
    from douane.report import Bytes

    app, script = FakeGlance(os_hash_algo="sha512", os_hash_value=digest), Script()
    size = Bytes(size=4, complete=True, sha512=DIGEST)
    script.report = {"received": size, "stored": size}
    assert request(filtered(app, script), b"data").code == 204
    assert app.image is not None
    assert "douane_proof" not in app.image
    assert "gets no proof" in caplog.text


# ---- the key


def test_a_key_is_a_secret_of_32_bytes(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with pytest.raises(PlanError, match="cannot be read"):
        read_key(str(path))
    path.write_bytes(b"short")
    path.chmod(0o600)
    with pytest.raises(PlanError, match="32 to"):
        read_key(str(path))
    path.write_bytes(KEY)
    assert read_key(str(path)) == KEY
    path.chmod(0o640)
    assert read_key(str(path)) == KEY
    for mode in (0o604, 0o660, 0o602):
        path.chmod(mode)
        with pytest.raises(PlanError, match="could forge proofs"):
            read_key(str(path))
    with pytest.raises(PlanError):
        read_key("/dev/zero")
    with pytest.raises(PlanError):
        read_key(str(tmp_path))
