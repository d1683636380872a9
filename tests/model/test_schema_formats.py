"""The values of `format`: what the grammar writes is what the standard says, and common values are among it."""

from __future__ import annotations

import ipaddress
import random
import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from model.grammar import GrammarCompiler
from model.schema import FORMATS, normalise
from tests.model.conformance import Writer, arguments, dumps
from tests.model.sampling import sample
from tests.model.tiny_tokenizer import TinyTokenizer

SAMPLES = 150
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"

IPV4_TAIL = ["::ffff:192.168.0.1"]  # valid, but not written
LEAP_SECOND = ["23:59:60Z"]  # valid, but in which minutes there is one nobody can tell from the text

VALUES: dict[str, tuple[list[str], list[str]]] = {
    "date": (
        ["1963-06-19", "2024-02-29", "2000-02-29", "0001-01-01", "9999-12-31"],
        [
            "2023-02-29",
            "1900-02-29",
            "1998-13-01",
            "1998-04-31",
            "06/19/1963",
            "1963-6-19",
            "0000-01-01",
            "",
            "1963-06-1৪",
        ],
    ),
    "time": (
        ["08:30:06Z", "08:30:06.283185Z", "08:30:06+00:20", "23:59:59-08:00"],
        ["24:00:00Z", "23:60:00Z", "08:30:06", "8:3:6Z", "08:30:06 PST", "08:30:06+24:00", "08:30Z", "", *LEAP_SECOND],
    ),
    "date-time": (
        ["1963-06-19T08:30:06.283185Z", "1963-06-19T08:30:06Z", "1937-01-01T12:00:27.87+00:20", "2024-02-29T00:00:00Z"],
        [
            "1990-02-31T15:59:59Z",
            "1990-12-31T15:59:59-24:00",
            "1963-06-19 08:30:06Z",
            "1963-06-19T08:30:06",
            "1963-06-19",
            "",
        ],
    ),
    "duration": (
        ["P4DT12H30M5S", "P4Y", "PT0S", "P1M", "PT1M", "PT36H", "P1DT12H", "P2W"],
        ["PT1D", "4DT12H30M5S", "P", "P1YT", "PT", "P2D1Y", "P1D2H", "P2S", "P1Y2W", "P1", ""],
    ),
    "email": (
        ["joe.bloggs@example.com", "te~st@example.com", "a+b@mail.example.co.uk", "user_1@x-y.org"],
        ["2962", "@example.com", "a@", "a b@example.com", ".test@example.com", "te..st@example.com", "a@b@c.com", ""],
    ),
    "hostname": (
        ["www.example.com", "example", "xn--4gbwdl.xn--wgbh1c", "a-1.b2", "1host", "a" * 63],
        ["-a-host-name", "host-", "a_b", "not a host", "a..b", ".a", "a" * 64, ""],
    ),
    "ipv4": (
        ["192.168.0.1", "0.0.0.0", "255.255.255.255", "87.10.0.1"],
        ["127.0.0.0.1", "256.0.0.1", "127.0", "0x7f000001", "087.10.0.1", "1.2.3.4 ", "1.2.3.4/24", ""],
    ),
    "ipv6": (
        ["::1", "::", "2001:db8::8:800:200c:417a", "1:2:3:4:5:6:7:8", "fe80::1", "1::"],
        [
            "12345::",
            "1:1:1:1:1:1:1:1:1",
            "::abcef::1",
            ":2:3:4:5:6:7:8",
            "::laptop",
            "1:2",
            "fe80::a%eth1",
            "::1.2.3.256",
            "",
            *IPV4_TAIL,
        ],
    ),
    "uri": (
        [
            "http://foo.bar/?baz=qux#quux",
            "https://user:pw@example.com:8042/over/there?name=ferret",
            "ftp://ftp.is.co.za/rfc/rfc1808.txt",
            "mailto:John.Doe@example.com",
            "urn:oasis:names:specification:docbook:dtd:xml:4.1.2",
            "http://[2001:db8::7]/c=GB",
            "http://foo.bar/%C3%A9",
            "tel:+1-816-555-1212",
        ],
        [
            "/abc",
            "abc",
            "//foo.bar/?baz",
            "http:// shouldfail.com",
            ":// should fail",
            "http://a/\\b",
            "http://é.com/",
            "http://a/%zz",
            "1http://a",
            "",
        ],
    ),
    "uuid": (
        [
            "2eb8aa08-aa98-11ea-b4aa-73b441d16380",
            "2EB8AA08-AA98-11EA-B4AA-73B441D16380",
            "00000000-0000-0000-0000-000000000000",
        ],
        [
            "2eb8aa08-aa98-11ea-b4aa-73b441d1638",
            "2eb8aa08aa9811eab4aa73b441d16380",
            "2eb8aa08-aa98-11ea-b4ga-73b441d16380",
            "",
        ],
    ),
}


def _time(text: str) -> bool:
    assert re.fullmatch(r"[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})", text)
    return bool(datetime.fromisoformat(f"2000-01-01T{re.sub(r'[.][0-9]+', '', text)}"))


def _email(text: str) -> bool:
    local, _, host = text.rpartition("@")
    return bool(re.fullmatch(rf"{ATOM}(?:\.{ATOM})*", local)) and _mail_host(host)


def _mail_host(host: str) -> bool:
    return re.fullmatch(rf"{LABEL}(?:\.{LABEL})*", host) is not None or host.startswith("[")


def _hostname(text: str) -> bool:
    return re.fullmatch(rf"{LABEL}(?:\.{LABEL})*", text) is not None


def _uri(text: str) -> bool:
    allowed = re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*", text)
    return allowed is not None and text.count("#") < 2 and bool(urlsplit(text).scheme)


def _duration(text: str) -> bool:
    # RFC 3339, appendix A: the units that follow each other, without gaps.
    clock = r"T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S)"
    days = rf"(?:[0-9]+D|[0-9]+M(?:[0-9]+D)?|[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?)(?:{clock})?"
    return re.fullmatch(rf"P(?:{days}|{clock}|[0-9]+W)", text) is not None


CHECKS: dict[str, Callable[[str], Any]] = {
    "date": lambda text: re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) and date.fromisoformat(text),
    "time": _time,
    "date-time": lambda text: text[10:11] == "T" and date.fromisoformat(text[:10]) and _time(text[11:]),
    "duration": _duration,
    "email": _email,
    "hostname": _hostname,
    "ipv4": ipaddress.IPv4Address,
    "ipv6": lambda text: "%" not in text and ipaddress.IPv6Address(text),
    "uri": _uri,
    "uuid": lambda text: len(text) == 36 and UUID(text),
}


def test_every_format_is_covered() -> None:
    assert VALUES.keys() == CHECKS.keys() == FORMATS.keys()


@pytest.mark.parametrize("name", VALUES)
def test_values(name: str, compiler: GrammarCompiler, tiny_tokenizer: TinyTokenizer) -> None:
    writer = Writer({"type": "string", "format": name}, {}, compiler, tiny_tokenizer)
    good, bad = VALUES[name]
    assert [text for text in good if not writer.can_write(text)] == []
    assert [text for text in bad if writer.can_write(text)] == []


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("more", [{}, {"maxLength": 60}, {"minLength": 12, "maxLength": 40}], ids=["", "max", "both"])
def test_samples(name: str, more: dict[str, int], compiler: GrammarCompiler, tiny_tokenizer: TinyTokenizer) -> None:
    if name in ("date", "uuid") and more.get("minLength"):
        more = {}
    grammar = compiler.compile(normalise(arguments({"type": "string", "format": name, **more}, {}), "p"))
    rng = random.Random(name)
    texts = [sample(grammar, tiny_tokenizer, rng) for _ in range(SAMPLES // 3)]
    ended = [text for text in texts if text is not None]
    assert len(ended) >= 5
    for text in ended:
        value = text.removeprefix('{"v":"').removesuffix('"}')
        assert dumps(value) == f'"{value}"' or "\\" in value
        try:
            assert CHECKS[name](value), value
        except ValueError as error:
            raise AssertionError(f"{value!r} is no {name}: {error}") from error
        assert len(value) <= more.get("maxLength", 10**6) and len(value) >= more.get("minLength", 0)


@pytest.mark.parametrize("name", CHECKS)
def test_the_checks_know_the_values(name: str) -> None:
    def holds(text: str) -> bool:
        try:
            return bool(CHECKS[name](text))
        except (ValueError, AssertionError):
            return False

    good, bad = VALUES[name]
    assert all(map(holds, good))
    assert [text for text in bad if holds(text)] in ([], IPV4_TAIL, LEAP_SECOND)


@pytest.mark.parametrize("schema", [{"type": "integer", "format": "date"}, {"type": "string", "format": "phone"}])
def test_other_formats_are_annotations(
    schema: dict[str, str], compiler: GrammarCompiler, tiny_tokenizer: TinyTokenizer
) -> None:
    writer = Writer(schema, {}, compiler, tiny_tokenizer)
    assert writer.can_write(5 if schema["type"] == "integer" else "anything")
