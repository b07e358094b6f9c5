"""One hostile or odd file."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """A file to send.

    Attributes:
        name: of the file, with the suffix that it claims.
        data: its bytes.
        fit: True if it must be served, False if it must be refused, None if either is right.
    """

    name: str
    data: bytes
    fit: bool | None = None
