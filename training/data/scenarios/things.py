"""People, places and things. Names and addresses are drawn once from Faker, in several locales, into pools."""

from __future__ import annotations

import random
import re
import uuid
from functools import cache

from faker import Faker

from training.data.scenarios.drawn import Make

POOL_SIZE = 1_500
POOL_SEED = 0
LOCALES = tuple("en_US en_GB en_CA en_IN en_AU de_DE fr_FR es_ES it_IT nl_NL sv_SE pt_BR pl_PL".split())
ENGLISH = ("en_US", "en_GB", "en_AU", "en_CA")
# Of Faker's jobs and companies, those without a comma: "Chemist, analytical" is no way to say it.
_POOLED = {"job": r"[A-Za-z -]{3,30}", "street_address": r"[\w '.,/-]{2,40}"}


@cache
def pool(kind: str) -> tuple[str, ...]:
    """Faker's answers to `kind`, the same on every machine with the same Faker."""
    locales = LOCALES if kind in ("first_name", "last_name", "city") else ENGLISH
    fakers = [fake for locale in locales if hasattr(fake := Faker(locale), kind)]  # Britain has no states
    drawn: dict[str, None] = {}
    for position, fake in enumerate(fakers):
        fake.seed_instance(POOL_SEED + position)
        for _ in range(POOL_SIZE // len(fakers)):
            drawn[re.sub(r"\s+", " ", str(getattr(fake, kind)()))] = None
    return tuple(text for text in drawn if re.fullmatch(_POOLED.get(kind, r"[\w '.&/-]{2,40}"), text))


def _pooled(kind: str) -> Make:
    return lambda rng: rng.choice(pool(kind))


def _ascii(text: str) -> str:
    return re.sub(r"[^a-z]", "", text.lower())


def _person(rng: random.Random) -> str:
    return f"{rng.choice(pool('first_name'))} {rng.choice(pool('last_name'))}"


def _host(rng: random.Random) -> str:
    word = _ascii(rng.choice(pool("last_name"))) or "acme"
    ending = rng.choice(("com", "com", "org", "io", "net", "co.uk", "de"))
    return f"{word}{rng.choice(('', '', 'soft', 'labs', '-shop', 'media'))}.{ending}"


def _hostname(rng: random.Random) -> str:
    return rng.choice((_host(rng), f"{rng.choice(('www', 'api', 'mail', 'staging', 'db1', 'blog'))}.{_host(rng)}"))


def _email(rng: random.Random) -> str:
    first, last = _ascii(rng.choice(pool("first_name"))) or "sam", _ascii(rng.choice(pool("last_name"))) or "lee"
    local = rng.choice(
        (f"{first}.{last}", f"{first[0]}{last}", f"{first}{rng.randint(1, 99)}", first, f"{first}_{last}")
    )
    return f"{local}@{rng.choice(('gmail.com', 'outlook.com', 'example.com', _host(rng), _host(rng)))}"


def _username(rng: random.Random) -> str:
    first, last = _ascii(rng.choice(pool("first_name"))) or "sam", _ascii(rng.choice(pool("last_name"))) or "lee"
    return rng.choice(
        (
            f"{first}{rng.randint(1, 999)}",
            f"{first}_{last}",
            f"{first[0]}{last}",
            f"{last}.{first}",
            f"{first}-{last}",
            first,
        )
    )


def _phone(rng: random.Random) -> str:
    forms = (
        "%##-%##-####",
        "(%##) %##-####",
        "+1 %## %## ####",
        "+44 7### ######",
        "%##%##%###",
        "+49 1%# #######",
        "555-####",
    )
    return code(rng.choice(forms), rng)


def _url(rng: random.Random) -> str:
    paths = (
        "",
        "/about",
        "/docs/start",
        "/blog/2025/launch",
        f"/item/{rng.randint(1, 9_999)}",
        "/index.html",
        "/feed.xml",
    )
    return f"https://{_hostname(rng)}{rng.choice(paths)}"


def _file(rng: random.Random) -> str:
    stems = (
        "report budget invoice notes draft summary photo backup contract slides minutes resume todo data results"
        " inventory payroll roadmap logo banner interview survey users orders config schema changelog thesis recipe"
    ).split()
    stem = rng.choice(stems) + rng.choice(
        ("", "", "_v2", "-final", f"_{rng.randint(2019, 2027)}", "_q3", f"{rng.randint(1, 40)}")
    )
    return f"{stem}.{rng.choice('pdf pdf csv txt json png jpg xlsx docx md py log yaml mp4 zip'.split())}"


def _path(rng: random.Random) -> str:
    folder = rng.choice(
        (
            "/home/{u}/",
            "/var/log/",
            "/etc/",
            "docs/",
            "src/",
            "~/Downloads/",
            "/data/exports/",
            "assets/images/",
            "./",
            "/tmp/",
        )
    )
    return folder.replace("{u}", _ascii(rng.choice(pool("first_name"))) or "sam") + rng.choice(
        (_file(rng), _file(rng), "")
    )


def _address(rng: random.Random) -> str:
    street = rng.choice(pool("street_address"))
    return rng.choice((street, f"{street}, {rng.choice(pool('city'))}"))


def _version(rng: random.Random) -> str:
    numbers = f"{rng.randint(0, 12)}.{rng.randint(0, 30)}"
    return rng.choice((numbers, f"{numbers}.{rng.randint(0, 20)}", f"v{numbers}.{rng.randint(0, 9)}"))


def code(pattern: str, rng: random.Random) -> str:
    """`pattern` with # as a digit, % as a digit but 0, ? as a capital letter and ^ as a hexadecimal digit."""
    signs = {"#": "0123456789", "%": "123456789", "?": "ABCDEFGHJKLMNPQRSTUVWXYZ", "^": "0123456789abcdef"}
    return "".join(rng.choice(signs[sign]) if sign in signs else sign for sign in pattern)


THINGS: dict[str, Make] = {
    "person": _person,
    "first_name": _pooled("first_name"),
    "last_name": _pooled("last_name"),
    "username": _username,
    "email": _email,
    "phone": _phone,
    "job": lambda rng: rng.choice(pool("job")).lower(),
    "company": _pooled("company"),
    "url": _url,
    "hostname": _hostname,
    "ip": lambda rng: ".".join(str(rng.randint(1, 254)) for _ in range(4)),
    "file": _file,
    "path": _path,
    "version": _version,
    "uuid": lambda rng: str(uuid.UUID(int=rng.getrandbits(128), version=4)),
    "town": _pooled("city"),
    "country": _pooled("country"),
    "state": _pooled("state"),
    "address": _address,
    "street": _pooled("street_address"),
    "postcode": _pooled("postcode"),
}
"""Generators of texts that are said as they are, by name."""
