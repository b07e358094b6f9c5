"""The text of a key: ``lsk_<id>_<secret>_<checksum>``.

The prefix lets scanners of repositories find a key that leaked. The checksum rejects a mistyped key without a look-up.
The secret has 190 random bits, so a single SHA-256 of it is enough at rest: nobody can try them all.
"""

import re
import secrets
import string
from dataclasses import dataclass
from hashlib import sha256
from zlib import crc32

START = "lsk_"
_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID_CHARS, _SECRET_CHARS, _CHECKSUM_CHARS = 10, 32, 6
KEY_ID = rf"^[0-9A-Za-z]{{{_ID_CHARS}}}$"
_KEY = re.compile(
    rf"{START}([0-9A-Za-z]{{{_ID_CHARS}}})_([0-9A-Za-z]{{{_SECRET_CHARS}}})_([0-9A-Za-z]{{{_CHECKSUM_CHARS}}})"
)


@dataclass(frozen=True)
class KeyText:
    """The parts of a key that its owner holds."""

    id: str
    secret: str

    def __str__(self) -> str:
        """The whole text, to be shown once."""
        body = f"{START}{self.id}_{self.secret}"
        return f"{body}_{_checksum(body)}"

    def __repr__(self) -> str:
        return f"KeyText({self.id})"  # a traceback must not show the secret

    @property
    def sha256(self) -> str:
        """What is kept of the secret: 64 hexadecimal digits."""
        return sha256(self.secret.encode()).hexdigest()


def draw_key() -> KeyText:
    """A new key."""
    return KeyText(_random(_ID_CHARS), _random(_SECRET_CHARS))


def parse_key(text: str) -> KeyText | None:
    """The parts of a key; None if this is none, or its checksum is wrong."""
    found = _KEY.fullmatch(text)
    if found is None or _checksum(text[: found.end(2)]) != found[3]:
        return None
    return KeyText(found[1], found[2])


def _random(length: int) -> str:
    return "".join(secrets.choice(_BASE62) for _ in range(length))


def _checksum(body: str) -> str:
    number, digits = crc32(body.encode()), ""
    for _ in range(_CHECKSUM_CHARS):
        number, digit = divmod(number, len(_BASE62))
        digits = _BASE62[digit] + digits
    return digits
