"""Which addresses web-download may connect to."""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from douane.imports.settings.structs import WebDownloadSettings
from douane.imports.settings.values import parse_host_rule
from douane.imports.web.addresses import AddressRules, embedded, is_public, parse_literal

PUBLIC_4 = "93.184.216.34"
PRIVATE = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254",
    "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1",
    "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.255",
    "240.0.0.1", "255.255.255.255",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", f"::ffff:{PUBLIC_4}", "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1", f"64:ff9b::{PUBLIC_4}", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:4136:e378::1",
    "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::1", "2002:a00:1::", "2002:5db8:d822::1", "3fff::1",
    "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "4000::1",
    "2a00:1450:4001:82a:0:5efe:10.0.0.1", "2a00:1450:4001:82a:200:5efe:127.0.0.1",
]  # fmt: skip
PUBLIC = [PUBLIC_4, "1.1.1.1", "100.63.255.255", "172.32.0.1", "223.255.255.255", "2606:4700::1111", "2a00:1450::1"]

ADDRESSES = st.one_of(
    st.integers(0, 2**32 - 1).map(IPv4Address),
    st.integers(0, 2**128 - 1).map(IPv6Address),
    st.sampled_from(PRIVATE + PUBLIC).map(ipaddress.ip_address),
    st.tuples(
        st.sampled_from(["::ffff:0:0", "::", "64:ff9b::", "2002::", "2001::", "2a00::"]).map(IPv6Address),
        st.integers(0, 2**32 - 1),
        st.sampled_from([0, 32, 64, 80, 96]),
    ).map(lambda parts: IPv6Address((int(parts[0]) | parts[1] << parts[2]) % 2**128)),
)


@pytest.mark.parametrize("text", PRIVATE)
def test_an_address_beside_the_public_internet_is_refused(text):
    assert not is_public(ipaddress.ip_address(text))
    assert rules().refuse_addresses("a.example.org", [ipaddress.ip_address(text)]) == "its address is not public"


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_is_allowed(text):
    assert is_public(ipaddress.ip_address(text))
    assert rules().refuse_addresses("a.example.org", [ipaddress.ip_address(text)]) is None


@given(ADDRESSES)
@example(ipaddress.ip_address("64:ff9b::a00:1"))
def test_no_address_is_public_that_python_or_the_way_to_ipv4_calls_otherwise(address):
    if is_public(address):
        assert address.is_global and not address.is_multicast and not address.is_reserved and not address.is_link_local
        assert all(inner.is_global for inner in embedded(address))
        if isinstance(address, IPv6Address):
            assert address.ipv4_mapped is None and address.sixtofour is None and address.teredo is None


@given(ADDRESSES, ADDRESSES)
def test_one_refused_address_refuses_the_host_wherever_it_stands(first, second):
    verdict = rules().refuse_addresses("a.example.org", [first, second])
    assert (verdict is None) == (is_public(first) and is_public(second))
    assert verdict == rules().refuse_addresses("a.example.org", [second, first])


@given(ADDRESSES)
def test_a_denied_network_is_denied_in_every_form_even_if_private_addresses_are_allowed(address):
    denied = rules(deny=["0.0.0.0/0"], private=True)
    verdict = denied.refuse_addresses("a", [address])
    assert (verdict == "the operator denies its address") == (
        isinstance(address, IPv4Address) or any(True for _ in embedded(address))
    )


@pytest.mark.parametrize(
    "text",
    [
        "::ffff:1.2.3.4", "::ffff:0:1.2.3.4", "::1.2.3.4", "64:ff9b::1.2.3.4", "2002:102:304::1",
        "64:ff9b:1:102:3:400::", "64:ff9b:1:1:2:304::", "64:ff9b:1:0:1:203:400::", "64:ff9b:1::1.2.3.4",
        "2001:0:102:304::1", "2001:0:4136:e378:8000:63bf:fefd:fcfb", "2a00::5efe:1.2.3.4", "2a00::200:5efe:1.2.3.4",
    ],
)  # fmt: skip
def test_the_ipv4_address_inside_is_taken_out_in_every_form(text):
    assert IPv4Address("1.2.3.4") in set(embedded(ipaddress.ip_address(text)))
    denied = rules(deny=["1.2.3.0/24"], private=True)
    assert denied.refuse_addresses("a", [ipaddress.ip_address(text)]) == "the operator denies its address"


def rules(allow=(), deny=(), **settings) -> AddressRules:
    lists = {name: tuple(map(parse_host_rule, texts)) for name, texts in (("allow", allow), ("deny", deny))}
    return AddressRules(WebDownloadSettings(**lists, **settings))


OTHERS = "the operator allows other hosts only"
DENIED = "the operator denies this host"


@pytest.mark.parametrize(
    ("allow", "deny", "private", "host", "address", "expected"),
    [
        ([], [], False, "a.org", PUBLIC_4, None),
        ([], ["a.org"], False, "a.org", PUBLIC_4, DENIED),
        ([], ["*.a.org"], False, "a.org", PUBLIC_4, None),
        ([], ["*.a.org"], False, "x.y.a.org", PUBLIC_4, DENIED),
        (["a.org"], ["a.org"], False, "a.org", PUBLIC_4, DENIED),
        (["a.org"], [], False, "b.org", PUBLIC_4, OTHERS),
        (["*.a.org"], [], False, "x.a.org", PUBLIC_4, None),
        (["a.org"], [], False, "a.org", "10.0.0.1", "its address is not public"),
        (["a.org"], [], True, "a.org", "10.0.0.1", None),
        (["a.org", "10.0.0.0/8"], [], False, "a.org", "10.0.0.1", None),
        (["10.0.0.0/8"], [], False, "b.org", "10.0.0.1", None),
        (["10.0.0.0/8"], [], False, "b.org", "11.0.0.1", OTHERS),
        (["10.0.0.0/8"], ["10.0.0.1"], False, "b.org", "10.0.0.1", "the operator denies its address"),
        (["10.0.0.0/8"], [], False, "b.org", "64:ff9b::10.0.0.1", "its address is not public"),
        (["64:ff9b::/96"], [], False, "b.org", "64:ff9b::10.0.0.1", "its address is not public"),
        (["64:ff9b::/96"], [], False, "b.org", f"64:ff9b::{PUBLIC_4}", None),
        (["127.0.0.1"], [], False, "127.0.0.1", "127.0.0.1", None),
        (["*.a.org"], [], True, "127.0.0.1", "127.0.0.1", OTHERS),
    ],
)
def test_the_operators_lists(allow, deny, private, host, address, expected):
    chosen = rules(allow, deny, private=private)
    assert (chosen.refuse_name(host) or chosen.refuse_addresses(host, [ipaddress.ip_address(address)])) == expected


def test_a_proxy_resolves_names_so_only_names_count():
    assert rules(["10.0.0.0/8"]).refuse_name("a.org", resolved_here=False) == OTHERS
    assert rules(["a.org"]).refuse_name("a.org", resolved_here=False) is None
    assert rules().refuse_name("10.0.0.1", resolved_here=False) == "its address is not public"


def test_a_literal_is_an_address_and_a_name_is_none():
    assert parse_literal("127.0.0.1") and parse_literal("::1")
    assert parse_literal("0x7f.1") is None and parse_literal("2130706433") is None and parse_literal("a.org") is None
