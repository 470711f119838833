"""Lone OVF descriptors: recognised in every encoding, and parsed as untrusted XML."""

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
def test_all_spellings_of_a_descriptor_are_recognised(data: bytes) -> None:
    examination = examine(data)
    assert names(examination) == ["ovf"]
    assert codes(examination) == set()
    assert [str(field.value) for field in examination.matches[0].fields if field.name == "file"] == ["file1: disk.vmdk"]


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
def test_other_texts_are_not_ovf(data: bytes) -> None:
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
def test_xml_with_definitions_is_refused(data: str) -> None:
    examination = examine(data.encode())
    assert names(examination) == ["ovf"]
    assert refused(examination) == {"xml"}


def test_entities_in_other_encodings_are_refused() -> None:
    hidden = TEXT.replace("UTF-8", "UTF-16").replace("<Envelope", '<!DOCTYPE a [<!ENTITY x "y">]><Envelope', 1)
    assert refused(hidden.encode("utf-16")) == {"xml"}


def test_descriptor_is_bounded() -> None:
    spaces = " " * (ovf_document.MAX_BYTES - len(TEXT))
    assert codes(examine((TEXT + spaces).encode())) == set()
    assert refused((TEXT + spaces + " ").encode()) == {"ovf"}


def test_external_reference_is_refused() -> None:
    assert refused(sized_ovf(SIZED_FILE.replace("disk.vmdk", "../disk.vmdk"))) == {"ovf"}
    assert refused(sized_ovf(SIZED_FILE.replace("disk.vmdk", "http://host/disk.vmdk"))) == {"ovf"}
    assert refused(sized_ovf(disks=SIZED_DISK.replace("file1", "nope"))) == {"ovf"}
    assert refused(sized_ovf(namespace="http://schemas.dmtf.org/ovf/envelope/9")) == {"version"}


def test_attributes_of_extensions_may_have_the_same_name() -> None:
    vendor = SIZED_FILE.replace("/>", ' xmlns:v="http://www.vmware.com/schema/ovf" v:size="7" v:href="/etc/passwd"/>')
    assert codes(examine(sized_ovf(vendor))) == set()


def test_sections_of_version_0_9_are_read() -> None:
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
def test_quantities_are_read_with_their_units(quantity: str, units: str, result: int | None) -> None:
    assert ovf_document.in_bytes(quantity, units) == result


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_mutants_do_not_fail_and_do_not_depend_on_chunks(data: st.DataObject) -> None:
    image = bytearray(data.draw(st.sampled_from([sized_ovf(), TEXT.replace("UTF-8", "UTF-16").encode("utf-16")])))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(image) - 1))
        image[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=4))
    examination = examine(bytes(image))
    assert "reader-failed" not in codes(examination)
    assert summary(examination) == summary(examine(bytes(image), cut=data.draw(st.integers(1, 500)), size_known=False))
