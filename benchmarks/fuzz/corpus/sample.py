"""One hostile or odd file."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """A file to send.

    Attributes:
        name: of the file, with the suffix that it claims.
        data: its bytes.
        fit: True if it must be served, False if it must be refused, None if either is right.
        is_damaged: whether it is one of many that were made from one; one route of them sees it, drawn at random.
    """

    name: str
    data: bytes
    fit: bool | None = None
    is_damaged: bool = False
