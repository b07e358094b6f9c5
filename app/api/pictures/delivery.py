"""The one way out for finished pictures: from the stored file to the one that a client gets."""

from dataclasses import dataclass
from hashlib import sha256

from app.api.pictures.credentials import Signer
from app.api.pictures.formats import Format, encode
from jobs.pictures.mark import Mark, our_generator, with_mark


@dataclass(frozen=True)
class Prepared:
    """A picture in its format, before it is signed.

    Attributes:
        content: the file.
        form: its format.
        signer: that vouches for it; None for none.
    """

    content: bytes
    form: Format
    signer: Signer | None

    @property
    def etag(self) -> str:
        """The entity tag. It is weak if the picture is signed, for no two signatures are alike."""
        digest = f'"{sha256(self.content).hexdigest()[:32]}"'
        return digest if self.signer is None else f"W/{digest}"

    def file(self) -> bytes:
        """The file as a client gets it."""
        return self.content if self.signer is None else self.signer.sign(self.content, self.form)


class Delivery:
    """Makes the files that clients get. Threads may share one."""

    def __init__(self, *, marks: bool = True, signer: Signer | None = None) -> None:
        """Make one.

        Args:
            marks: whether a picture that carries no mark gets one, such as those of former versions. A mark that is
                there stays in every format.
            signer: that signs each file; None for none.
        """
        self._marks = marks
        self._signer = signer

    @property
    def signs(self) -> bool:
        """Whether files are signed, so that a stored one is not what clients should get."""
        return self._signer is not None

    def prepare(self, png: bytes, wanted: Format, quality: int | None = None) -> Prepared:
        """A stored PNG in the wanted format; ``quality`` as for ``encode``."""
        marked = with_mark(png, Mark(generator=our_generator())) if self._marks else png
        return Prepared(encode(marked, wanted, quality), wanted, self._signer)

    def file(self, png: bytes, wanted: Format = Format.PNG, quality: int | None = None) -> bytes:
        """A stored PNG as a client gets it."""
        return self.prepare(png, wanted, quality).file()
