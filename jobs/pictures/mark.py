"""The mark of a generated picture: who reads its file learns that a model made it.

It is an XMP packet (ISO 16684-1) with IPTC's digital source type, which PNG, JPEG and WebP files carry alike. Only this
module knows what it says.
"""

import io
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from html import unescape
from importlib.metadata import PackageNotFoundError
from xml.sax.saxutils import quoteattr

from jobs.distribution import own_version
from jobs.pictures.parts import PNG_START, jpeg_segments, open_parts, png_chunks, webp_chunks
from jobs.pictures.texts import texts_in

PNG_KEYWORD = "XML:com.adobe.xmp"

_JPEG_START = b"http://ns.adobe.com/xap/1.0/\0"
_APP1, _APP11 = 0xE1, 0xEB
_C2PA_KINDS = {"PNG": b"caBX", "WEBP": b"C2PA"}
_MAX_PACKET_BYTES = 1 << 16  # an ordinary one has a few thousand
_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" \
xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"{properties}/>\
</rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""
_PROPERTY = (
    r"\b{name}\s*(?:=\s*(?P<quote>[\"'])(?P<value>.{{0,500}}?)(?P=quote)|>\s*(?P<text>[^<]{{0,500}})<)"
)


class DigitalSource(StrEnum):
    """How a picture came to be, in IPTC's words (https://cv.iptc.org/newscodes/digitalsourcetype)."""

    GENERATED = "trainedAlgorithmicMedia"
    """All of its pixels are a model's."""
    COMPOSITE = "compositeWithTrainedAlgorithmicMedia"
    """A model has painted a part of somebody's picture, or around it."""

    @property
    def uri(self) -> str:
        """Its name in files."""
        return _TYPES + self


@dataclass(frozen=True)
class Mark:
    """What a generated picture says of its making.

    Attributes:
        source: how it came to be.
        generator: the program.
        model: its id in the catalog; empty if it is not known.
        document_id: the same for all files of one picture; empty if it is not known.
    """

    source: DigitalSource = DigitalSource.GENERATED
    generator: str = ""
    model: str = ""
    document_id: str = ""

    @property
    def packet(self) -> str:
        """The mark as an XMP packet."""
        properties = {
            "Iptc4xmpExt:DigitalSourceType": self.source.uri,
            "xmp:CreatorTool": self.generator,
            "Iptc4xmpExt:AISystemUsed": self.model,
            "xmpMM:DocumentID": self.document_id,
        }
        said = (f" {name}={quoteattr(value)}" for name, value in properties.items() if value)
        return _PACKET.format(properties="".join(said))


@cache
def our_generator() -> str:
    """This program and its version."""
    try:
        return f"Lodestar {own_version()}"
    except PackageNotFoundError:  # started from a checkout that is not installed
        return "Lodestar"


def read_packet(packet: bytes) -> Mark | None:
    """The mark that an XMP packet holds, whoever wrote it; None if it does not say that a model made the picture.

    The packet is anybody's, so it is searched, not parsed: XML can be made to take any amount of memory.
    """
    text = packet[:_MAX_PACKET_BYTES].decode("utf-8", "replace")
    kind = _property(text, "Iptc4xmpExt:DigitalSourceType").rpartition("/")[2]
    if kind not in set(DigitalSource):
        return None
    return Mark(
        DigitalSource(kind),
        _property(text, "xmp:CreatorTool"),
        _property(text, "Iptc4xmpExt:AISystemUsed"),
        _property(text, "xmpMM:DocumentID"),
    )


def packet_in(file: bytes) -> bytes | None:
    """The XMP packet of a PNG, JPEG or WebP file; None without one.

    Raises:
        ValueError: it is none of these, in words that follow its name.
    """
    return next(_packets(file), None)


def mark_in(file: bytes) -> Mark | None:
    """The mark of a file; errors as for ``packet_in``."""
    packet = packet_in(file)
    return None if packet is None else read_packet(packet)


def has_credentials(file: bytes) -> bool:
    """Whether a file carries a C2PA manifest, valid or not; errors as for ``packet_in``."""
    source = io.BytesIO(file)
    form = open_parts(source)
    if form == "JPEG":
        return any(
            marker == _APP11 and b"jumb" in source.read(min(length, 64))
            for marker, length in jpeg_segments(source)
        )
    chunks = png_chunks(source) if form == "PNG" else webp_chunks(source)
    return any(kind == _C2PA_KINDS[form] for kind, _ in chunks)


def with_mark(png: bytes, mark: Mark) -> bytes:
    """A PNG file with a mark, right after its header; the file itself if it has one, or is no PNG."""
    if not png.startswith(PNG_START) or packet_in(png) is not None:
        return png
    text = mark.packet.encode()
    content = (
        b"iTXt" + PNG_KEYWORD.encode() + bytes(5) + text
    )  # no compression, language or translated keyword
    chunk = struct.pack(">L", len(content) - 4) + content + struct.pack(">L", zlib.crc32(content))
    end = len(PNG_START) + 25  # of IHDR, which is always the first chunk
    return png[:end] + chunk + png[end:]


def with_mark_of(source: bytes, png: bytes) -> bytes:
    """A PNG file that was made of another file, with the mark of that one if it has any.

    Raises:
        ValueError: as for ``packet_in``, of the source.
    """
    mark = mark_in(source)
    return png if mark is None else with_mark(png, mark)


def _packets(file: bytes) -> Iterator[bytes]:
    source = io.BytesIO(file)
    match open_parts(source):
        case "PNG":
            if text := texts_in(file).get(PNG_KEYWORD):
                yield text.encode()
        case "WEBP":
            for kind, length in webp_chunks(source):
                if kind == b"XMP ":
                    yield source.read(length)
        case "JPEG":
            for marker, length in jpeg_segments(source):
                if marker == _APP1 and (content := source.read(length)).startswith(_JPEG_START):
                    yield content.removeprefix(_JPEG_START)


def _property(text: str, name: str) -> str:
    found = re.search(_PROPERTY.format(name=name), text, re.DOTALL)
    return unescape(found["value"] if found["text"] is None else found["text"]).strip() if found else ""
