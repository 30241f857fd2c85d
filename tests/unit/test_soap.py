"""SOAP: whatever prefixes and encodings a vendor chose, the element inside is the same."""

from __future__ import annotations

from typing import Any

import pytest

from hub.model.errors import VendorError
from hub.pipeline import soap
from hub.pipeline.decode import xml

INNER = "<a:Told xmlns:a='urn:x'><name kind='k'>é</name><item>1</item><item>2</item><none/></a:Told>"
PLAIN = {"Told": {"name": {"kind": "k", "#text": "é"}, "item": ["1", "2"], "none": None}}


@pytest.mark.parametrize(
    "written",
    [
        soap.envelope(INNER),
        INNER.encode(),
        f"<E:Envelope xmlns:E='y'><E:Header/><E:Body E:encodingStyle='z'>{INNER}</E:Body></E:Envelope>".encode(),
        f"<Envelope><Body>{INNER}</Body></Envelope>".encode("utf-16"),
    ],
)
def test_the_body_is_found_whatever_is_around_it(written: bytes) -> None:
    assert soap.body(xml(written)) == PLAIN


@pytest.mark.parametrize(
    ("element", "value"),
    [
        ("<r xmlns:xsi='i' xsi:type='xsd:string'>text</r>", "text"),
        ("<r xmlns:xsi='i' xsi:nil='true'/>", None),
        ("<r xmlns='i'/>", None),
        ("<r id='1'/>", {"id": "1"}),
        ("<r xmlns:xsi='i'><d xsi:nil='true'/><d>1</d></r>", {"d": [None, "1"]}),
    ],
)
def test_what_only_xml_needs_is_gone(element: str, value: Any) -> None:
    assert soap.bare(xml(element.encode())) == {"r": value}


@pytest.mark.parametrize("body", ["<s:Fault><faultcode>s:Server</faultcode></s:Fault>", "<s:Fault/>"])
def test_a_fault_is_the_vendors_error_whatever_its_status(body: str) -> None:
    with pytest.raises(VendorError):
        soap.body(xml(f"<s:Envelope xmlns:s='x'><s:Body>{body}</s:Body></s:Envelope>".encode()))


@pytest.mark.parametrize("document", [None, [], "text", {"Envelope": None}, {"Envelope": {"Body": None}}])
def test_what_is_no_envelope_is_its_own_body(document: Any) -> None:
    soap.body(document)
