"""The table [serve]: what it becomes, and the sentence for every wrong setting."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane.cli.plan_schema import plan_schema
from douane.errors import BadValue, PlanError
from douane.imports.service_stores import open_stores
from douane.imports.settings import ServeSettings, load_settings, parse_settings
from douane.imports.settings.values import parse_address, parse_host_rule
from support.doc_pages import TOP, blocks

PLAN = '[[plugin]]\nname = "format"\nuse = "format"\n'
KEYSTONE = '[serve.keystone]\nauth_url = "https://k/v3"\nusername = "u"\npassword_file = "secret"\n'


def load(folder: Path, text: str, **options: object) -> ServeSettings:
    config = folder / "douane.toml"
    config.write_text(text)
    return load_settings(str(config), folder / "home", **options)  # type: ignore[arg-type]


def test_without_a_file_there_is_one_store_in_the_home_and_loopback(tmp_path):
    settings = load_settings(None, tmp_path)
    assert settings.listen.is_loopback and settings.listen.port == 9292
    stores = open_stores(settings)
    assert stores.ids == ("file",) and stores.default.id == "file"
    key = "00000000-0000-4000-8000-000000000000"
    stores.default.store.stage(key).close()
    assert (tmp_path / "store" / "staging" / key).exists()


def test_a_plan_without_the_table_has_the_same_settings_as_no_file(tmp_path):
    assert load(tmp_path, PLAN) == load_settings(None, tmp_path / "home")


def test_sizes_durations_and_paths_are_those_of_the_plan(tmp_path):
    settings = load(
        tmp_path,
        '[serve]\nmax_image_size = "8GiB"\nstaged_expiry = "90m"\n[serve.stores.a]\nurl = "file:images"\n' + KEYSTONE,
    )
    assert settings.max_image_size == 8 << 30 and settings.staged_expiry == 5400.0
    assert settings.stores["a"].url == f"file:{tmp_path}/images"
    assert settings.keystone is not None and settings.keystone.password_file == str(tmp_path / "secret")


def test_stores_are_ordered_by_weight_and_name_and_one_is_the_default(tmp_path):
    text = "".join(
        f'[serve.stores.{name}]\nurl = "file:{name}"\n{rest}\n'
        for name, rest in (("b", ""), ("a", "default = true"), ("c", "weight = 7"))
    )
    stores = open_stores(load(tmp_path, text))
    assert stores.ids == ("c", "a", "b") and stores.default.id == "a"
    assert [store.id for store in stores] == ["c", "a", "b"] and "b" in stores and "d" not in stores
    with pytest.raises(BadValue, match="there is no store 'd'; the stores are: c, a, b"):
        stores.by_id("d")


@pytest.mark.parametrize(
    ("setting", "stores"), [("", ()), ("[]", ()), ('"all"', ("b", "a")), ('["a"]', ("a",)), ('["a", "b"]', ("a", "b"))]
)
def test_the_stores_for_staged_bytes_are_named_or_all(tmp_path, setting, stores):
    key = f"[serve]\nstage_stores = {setting}\n" if setting else ""
    tables = "[serve.stores.b]\nurl = 'file:b'\ndefault = true\n[serve.stores.a]\nurl = 'file:a'\n"
    assert load(tmp_path, key + tables).staging_stores == stores


def test_the_password_is_the_text_of_its_file_without_the_end_of_the_line(tmp_path):
    (tmp_path / "secret").write_text(" pass word\n")
    keystone = load(tmp_path, KEYSTONE).keystone
    assert keystone is not None and keystone.password() == " pass word"
    (tmp_path / "secret").unlink()
    with pytest.raises(PlanError, match="secret cannot be read: No such file"):
        keystone.password()


WRONG = [
    ("serve = 3", "serve is a table, written [serve]"),
    ("[serve]\nlisen = 'x'", "[serve] 'lisen' is not a setting; did you mean 'listen'?"),
    ("[serve]\nlisten = 9292", "[serve] 'listen' is wrong: expected a string, not 9292"),
    ("[serve]\nlisten = 'localhost'", "[serve] 'listen' is wrong: expected a host and a port, such as 127.0.0.1:9292"),
    ("[serve]\nlisten = '127.0.0.1:70000'", "[serve] 'listen' is wrong"),
    ("[serve]\nlisten = '[1.2.3.4]:80'", "[serve] 'listen' is wrong"),
    ("[serve]\nlisten = '0.0.0.0:9292'", "other machines can reach 0.0.0.0:9292"),
    ("[serve]\nworkers = -1", "[serve] 'workers' is wrong: expected 0 to 1024, got -1"),
    ("[serve]\nworkers = true", "[serve] 'workers' is wrong: expected an integer, got true or false"),
    ("[serve]\nmax_image_size = '8 gigs'", "[serve] 'max_image_size' is wrong: expected a size such as 4096"),
    ("[serve]\ngrace = '-3s'", "[serve] 'grace' is wrong: expected a duration such as '30s'"),
    ("[serve]\ntask_expiry = '9999999d'", "[serve] 'task_expiry' is wrong: expected a duration of at most 36525 days"),
    (f"[serve]\nstaged_expiry = {'9' * 400}", "'staged_expiry' is wrong: expected a duration of at most 36525 days"),
    (f"[serve]\nforeign_locations = '{'x' * 9000}'", "'allow' or 'deny', not 'xxx"),
    ('[serve.stores.a]\nurl = "file:/a\\u0000b"', "'url' is wrong: expected a path without NUL characters"),
    ("[serve]\ngrace = 0", "[serve] 'grace' is wrong: expected a duration greater than zero"),
    ("[serve]\nenabled_methods = ['glance-download']", "[serve] 'enabled_methods' is wrong: expected 'copy-image', "),
    (
        "[serve]\nenabled_methods = ['copy-image', 'copy-image']",
        "[serve] 'enabled_methods' is wrong: a value is listed twice",
    ),
    ("[serve]\npublic_endpoint = 'images.example.org'", "'public_endpoint' is wrong: expected a URL that begins"),
    ("[serve]\ndatabase = 'oracle://u:p@h/d'", "[serve] 'database' is wrong: expected a URL that begins with postgres"),
    ("[serve]\ndatabase = 'postgres://h/d'", "[serve] 'database' is wrong: expected a URL that begins with postgresql"),
    ("[serve]\ndatabase = 'postgresql:h/d'", "[serve] 'database' is wrong: expected a URL that begins with postgresql"),
    ("[serve]\nstores = []", "stores are written [serve.stores.NAME], a table for each"),
    ("[serve]\nstage_stores = 'every'", "'stage_stores' is wrong: expected a list of stores, or 'all', not 'every'"),
    ("[serve]\nstage_stores = 3", "'stage_stores' is wrong: expected a list of stores, or 'all', got an integer"),
    ("[serve]\nstage_stores = [3]", "[serve] 'stage_stores' is wrong: expected a string, got an integer"),
    ("[serve]\nforeign_locations = 'no'", "'foreign_locations' is wrong: expected 'allow' or 'deny', not 'no'"),
    ("[serve]\nstage_stores = ['a']", "'stage_stores' is wrong: there is no store 'a'; the stores are: file"),
    ("[serve]\nstage_stores = ['file', 'file']", "[serve] 'stage_stores' is wrong: a value is listed twice"),
    ("[serve.stores]\na = 3", "serve.stores.a is a table, written [serve.stores.a]"),
    ("[serve.stores.a]\ndefault = true", "[serve.stores.a] has no 'url'"),
    ("[serve.stores.'a,b']\nurl = 'file:x'", "[serve.stores] 'a,b' is not a name"),
    ("[serve.stores.a]\nurl = 3", "[serve.stores.a] 'url' is wrong: expected a string, got an integer"),
    ("[serve.stores.a]\nurl = '/srv'", "[serve.stores.a] 'url' is wrong: expected the URL of a store"),
    ("[serve.stores.a]\nurl = 'file:'", "[serve.stores.a] 'url' is wrong: expected the URL of a store"),
    ("[serve.stores.a]\nurl='file:x'\n[serve.stores.b]\nurl='file:y'", "[serve.stores] no store has default = true"),
    (
        "[serve.stores.a]\nurl='file:x'\ndefault=true\n[serve.stores.b]\nurl='file:y'\ndefault=true",
        "two stores have default = true: a and b",
    ),
    (
        "[serve.stores.a]\nurl='file:x'\ndefault=true\n[serve.stores.b]\nurl='file:x'",
        "[serve.stores] a and b are the same place",
    ),
    ("[serve.quota]\nimage_count = -1", "[serve.quota] 'image_count' is wrong: expected 0 to"),
    ("[serve.quota]\nimages = 3", "[serve.quota] 'images' is not a setting"),
    ("[serve.keystone]\nusername = 'u'", "[serve.keystone] has no 'auth_url'"),
    (KEYSTONE.replace("https://k/v3", "k:5000"), "[serve.keystone] 'auth_url' is wrong: expected a URL"),
    ("[serve.web_download]\nports = ['443']", "'ports' is wrong: expected an integer, got a string"),
    ("[serve.web_download]\nports = [0]", "[serve.web_download] 'ports' is wrong: expected 1 to 65535, got 0"),
    ("[serve.web_download]\nports = []", "[serve.web_download] 'ports' is empty"),
    ("[serve.web_download]\nallow = 'a'", "[serve.web_download] 'allow' is wrong: expected a list, got a string"),
    ("[serve.web_download]\nallow = ['10.0.0.1/8']", "[serve.web_download] 'allow' is wrong: expected a host"),
    ("[serve.web_download]\ndeny = ['300.1.1.1']", "[serve.web_download] 'deny' is wrong: expected a host"),
    ("[serve.web_download]\ndeny = ['a.*.org']", "[serve.web_download] 'deny' is wrong: expected a host"),
    ("[serve.web_download]\nschemes = ['ftp']", "'schemes' is wrong: expected 'http' or 'https', not 'ftp'"),
    ("[serve.web_download]\nproxy = 'socks5://p:1'", "[serve.web_download] 'proxy' is wrong: expected a URL"),
    ("[serve.web_download]\nattempts = 0", "[serve.web_download] 'attempts' is wrong: expected 1 to 100, got 0"),
    ('[serve.web_download]\nca_file = "a\\u0000b"', "'ca_file' is wrong: expected a string without NUL characters"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "sentence"), WRONG, ids=[f"{number}" for number in range(len(WRONG))])
def test_a_wrong_setting_is_named_in_a_sentence(tmp_path, text, sentence):
    with pytest.raises(PlanError) as caught:
        load(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/douane.toml: ")
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_an_address_for_others_needs_keystone_or_a_second_word(tmp_path):
    assert not load(tmp_path, "[serve]\nlisten = '0.0.0.0:1'\nwithout_keystone = true").listen.is_loopback
    load(tmp_path, "[serve]\nlisten = '0.0.0.0:1'\n" + KEYSTONE)
    with pytest.raises(PlanError, match=r"other machines can reach \[::\]:1"):
        load(tmp_path, "[serve]\n", listen="[::]:1")
    with pytest.raises(PlanError, match="--listen is a host and a port"):
        load(tmp_path, "", listen="9292")


def test_options_of_the_command_line_count_more_than_the_file(tmp_path):
    settings = load(tmp_path, "[serve]\nlisten = '127.0.0.1:1'\nworkers = 3", listen="localhost:2", workers=7)
    assert (settings.listen.port, settings.worker_count) == (2, 7)
    with pytest.raises(PlanError, match="'workers' is wrong: expected 0 to 1024, got -1"):
        load(tmp_path, "", workers=-1)
    assert load(tmp_path, "", workers=0).worker_count == 0, "other machines have them"


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback"),
    [
        ("127.0.0.1:9292", "127.0.0.1", 9292, True),
        ("127.8.8.8:1", "127.8.8.8", 1, True),
        ("[::1]:0", "::1", 0, True),
        ("localhost:65535", "localhost", 65535, True),
        ("0.0.0.0:80", "0.0.0.0", 80, False),
        ("[::]:80", "::", 80, False),
        ("images.example.org:80", "images.example.org", 80, False),
        ("127.0.0.1.example.org:80", "127.0.0.1.example.org", 80, False),
    ],
)
def test_an_address_has_a_host_and_a_port(text, host, port, loopback):
    address = parse_address(text)
    assert (address.host, address.port, address.is_loopback) == (host, port, loopback)


def test_a_wildcard_stands_for_one_label_or_more():
    rule = parse_host_rule("*.Example.org")
    assert rule.matches_name("a.example.org") and rule.matches_name("a.b.example.org")
    for other in ("example.org", "badexample.org", ".example.org", "a.example.org.evil.net"):
        assert not rule.matches_name(other)
    assert parse_host_rule("example.org").matches_name("example.org")
    assert parse_host_rule("2001:db8::/32").network is not None


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=12)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)
KEYS = st.sampled_from((*ServeSettings.__struct_fields__, "x"))


@given(table=st.one_of(VALUES, st.dictionaries(KEYS, VALUES, max_size=4)))
def test_any_table_is_settings_or_a_sentence(table):
    try:
        settings = parse_settings(table, where="test", base="/base")
    except PlanError as error:
        assert str(error).startswith("test: ")
    else:
        assert msgspec.json.encode(msgspec.structs.asdict(settings)["stores"])


def test_the_published_schema_accepts_the_documents_examples_and_refuses_what_the_parser_refuses():
    schema = jsonschema_rs.validator_for(json.loads(json.dumps(plan_schema())))
    page = (TOP / "docs" / "configuration.md").read_text()
    examples = [block.text for block in blocks(page) if block.language == "toml" and "[[plugin]]" in block.text]
    assert any("[serve]" in text for text in examples)
    for text in examples:
        schema.validate(tomllib.loads(text))
    wrong = sum(not schema.is_valid(tomllib.loads(text)) for text, _ in WRONG)
    assert wrong >= 18  # of the others, only the parser knows: two defaults, or a name that is no host
    assert not schema.is_valid({"plugin": [{"name": "x"}]}) and not schema.is_valid({"other": 1})
