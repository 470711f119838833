"""Lone OVF descriptors: recognised in every encoding, and parsed without ever trusting them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from douane.plugins.formats import ovf_document
from support.examination import codes, examine, names, refused, summary
from support.images.ova import NAMESPACE, SIZED_DISK, SIZED_FILE, sized_ovf

TEXT = sized_ovf().decode()
MiB = 1 << 20


@pytest.mark.parametrize(
    "data",
    [
        sized_ovf(),
        b"\xef\xbb\xbf" + sized_ovf(),
        TEXT.replace("UTF-8", "UTF-16").encode("utf-16"),
        b"\xfe\xff" + TEXT.replace("UTF-8", "UTF-16").encode("utf-16-be"),
        TEXT.replace("UTF-8", "UTF-16LE").encode("utf-16-le"),
        TEXT.replace("UTF-8", "ISO-8859-1").replace(">one<", ">é<").encode("latin-1"),
        TEXT.replace("UTF-8", "windows-1252").replace(">one<", ">€<").encode("cp1252"),
        TEXT.partition("\n")[2].encode(),
        b"<!-- made by\n nobody --><?xml-stylesheet href='a'?>\n\n" + TEXT.partition("\n")[2].encode(),
        TEXT.replace("Envelope xmlns=", "ovf:Envelope xmlns=").replace("</Envelope", "</ovf:Envelope").encode(),
        TEXT.replace(f'xmlns="{NAMESPACE}"', "").encode(),
    ],
)
def test_a_descriptor_is_one_however_it_is_written(data: bytes) -> None:
    found = examine(data)
    assert names(found) == ["ovf"]
    assert codes(found) == set()
    assert [str(field.value) for field in found.matches[0].fields if field.name == "file"] == ["file1: disk.vmdk"]


@pytest.mark.parametrize(
    "data",
    [
        b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body/></s:Envelope>',
        b"<HTML><HEAD><TITLE>Error</TITLE></HEAD></HTML>",
        b"<Enveloped/>",
        b"<!-- <Envelope/> --><html/>",
        b"<",
        b"",
        b"text",
    ],
)
def test_other_texts_are_not(data: bytes) -> None:
    assert "ovf" not in names(examine(data))


@pytest.mark.parametrize(
    "data",
    [
        TEXT.replace("<Envelope", '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><Envelope', 1),
        TEXT.replace("<Envelope", '<!DOCTYPE a SYSTEM "http://169.254.169.254/x"><Envelope', 1),
        TEXT.replace("<Envelope", '<!DOCTYPE a [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;">]><Envelope', 1),
        TEXT.replace("one", "&undefined;"),
        TEXT.replace("one", "<a>" * 100 + "</a>" * 100),
        TEXT.replace("one", "<a/>" * (ovf_document.MAX_ELEMENTS + 1)),
        TEXT.replace("</Envelope>", ""),
        TEXT + "junk",
        TEXT.replace("UTF-8", "UTF-16"),
        TEXT.replace("UTF-8", "utf-7"),
        TEXT.replace("UTF-8", "rot13"),
        TEXT.replace("UTF-8", "no-such-encoding"),
        TEXT.replace("one", "\0"),
    ],
)
def test_what_is_not_plain_xml_is_refused(data: str) -> None:
    found = examine(data.encode())
    assert names(found) == ["ovf"]
    assert refused(found) == {"xml"}


def test_entities_are_not_found_by_hiding_them_in_another_encoding() -> None:
    hidden = TEXT.replace("UTF-8", "UTF-16").replace("<Envelope", '<!DOCTYPE a [<!ENTITY x "y">]><Envelope', 1)
    assert refused(hidden.encode("utf-16")) == {"xml"}


def test_a_descriptor_is_bounded() -> None:
    spaces = " " * (ovf_document.MAX_BYTES - len(TEXT))
    assert codes(examine((TEXT + spaces).encode())) == set()
    assert refused((TEXT + spaces + " ").encode()) == {"ovf"}


def test_what_it_refers_to_outside_is_refused() -> None:
    assert refused(sized_ovf(SIZED_FILE.replace("disk.vmdk", "../disk.vmdk"))) == {"ovf"}
    assert refused(sized_ovf(SIZED_FILE.replace("disk.vmdk", "http://host/disk.vmdk"))) == {"ovf"}
    assert refused(sized_ovf(disks=SIZED_DISK.replace("file1", "nope"))) == {"ovf"}
    assert refused(sized_ovf(namespace="http://schemas.dmtf.org/ovf/envelope/9")) == {"version"}


def test_extensions_may_have_attributes_of_the_same_name() -> None:
    vendor = SIZED_FILE.replace("/>", ' xmlns:v="http://www.vmware.com/schema/ovf" v:size="7" v:href="/etc/passwd"/>')
    assert codes(examine(sized_ovf(vendor))) == set()


def test_the_sections_of_version_0_9_are_found() -> None:
    old = """<ovf:Envelope xmlns:ovf="http://www.vmware.com/schema/ovf/1/envelope"
        xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
        <References><File ovf:id="f" ovf:href="a.vmdk"/></References>
        <Section xsi:type="ovf:DiskSection_Type"><Disk ovf:diskId="d" ovf:fileRef="f" ovf:capacity="512"/></Section>
        </ovf:Envelope>"""
    document = ovf_document.parse(old.encode())
    assert document.version == "0.9"
    [disk] = document.disks
    file = document.file_of(disk)
    assert file is not None
    assert (file.href, disk.capacity) == ("a.vmdk", 512)


@pytest.mark.parametrize(
    ("quantity", "units", "result"),
    [
        ("2", "byte * 2^30", 2 << 30),
        (" 2 ", "byte*2^20", 2 << 20),
        ("2", "", 2),
        ("2", "bytes", 2),
        ("2", "byte * 1024", 2048),
        ("2", "byte * 10^9", 2_000_000_000),
        ("2", "byte * 512 * 2^10", 2 * 512 * 1024),
        ("2", "MegaBytes", 2 << 20),
        ("2", "GB", 2 << 30),
        ("2", "hertz * 10^6", None),
        ("2", "byte * 2^999", None),
        ("2", "byte * x", None),
        ("-2", "byte", None),
        ("2.5", "byte", None),
        ("", "byte", None),
        ("²", "byte", None),
    ],
)
def test_quantities_with_units(quantity: str, units: str, result: int | None) -> None:
    assert ovf_document.in_bytes(quantity, units) == result


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_mutants_neither_fail_nor_depend_on_how_they_are_cut(data: st.DataObject) -> None:
    image = bytearray(data.draw(st.sampled_from([sized_ovf(), TEXT.replace("UTF-8", "UTF-16").encode("utf-16")])))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(image) - 1))
        image[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=4))
    found = examine(bytes(image))
    assert "reader-failed" not in codes(found)
    assert summary(found) == summary(examine(bytes(image), cut=data.draw(st.integers(1, 500)), size_known=False))
