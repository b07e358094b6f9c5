"""The mark of generated pictures, in the files of each format."""

import io
import time
from xml.etree import ElementTree

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from jobs.pictures.mark import (
    PNG_KEYWORD,
    DigitalSource,
    Mark,
    has_credentials,
    mark_in,
    packet_in,
    read_packet,
    with_mark,
    with_mark_of,
)
from tests.app.samples import png

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
FORMS = ("PNG", "JPEG", "WEBP")
MARK = Mark(DigitalSource.COMPOSITE, 'Lodes"tar <1> & more', "sd 1.5", "urn:uuid:1")


def written(form: str, packet: str) -> bytes:
    """A file of Pillow's with a packet."""
    out = io.BytesIO()
    image = Image.new("RGB", (8, 8))
    if form == "PNG":
        chunks = PngInfo()
        chunks.add_itxt(PNG_KEYWORD, packet)
        image.save(out, "PNG", pnginfo=chunks)
    else:
        image.save(out, form, xmp=packet.encode())
    return out.getvalue()


@pytest.mark.parametrize("form", FORMS)
def test_a_mark_is_read_back_from_every_format(form: str) -> None:
    assert mark_in(written(form, MARK.packet)) == MARK
    assert packet_in(png(form=form)) is None
    assert mark_in(png(form=form)) is None


@pytest.mark.parametrize("form", FORMS)
def test_pillow_finds_the_packet_and_a_parser_of_xml_reads_it(form: str) -> None:
    with Image.open(io.BytesIO(written(form, MARK.packet))) as image:
        packet = image.info["xmp"].decode()
    (said,) = ElementTree.fromstring(packet).iter(f"{{{RDF}}}Description")
    kind = said.attrib["{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"]
    assert kind.endswith("/compositeWithTrainedAlgorithmicMedia")
    assert said.attrib["{http://ns.adobe.com/xap/1.0/}CreatorTool"] == MARK.generator


def test_a_png_gets_a_mark_once_and_keeps_its_pixels_and_texts() -> None:
    text = PngInfo()
    text.add_text("parameters", "a red apple")
    out = io.BytesIO()
    Image.linear_gradient("L").save(out, "PNG", pnginfo=text)
    marked = with_mark(out.getvalue(), MARK)
    assert mark_in(marked) == MARK
    assert with_mark(marked, Mark()) == marked
    with Image.open(io.BytesIO(marked)) as image:
        image.load()  # which checks the sum of each chunk
        assert image.info["parameters"] == "a red apple"
        assert image.tobytes() == Image.linear_gradient("L").tobytes()


def test_what_is_made_of_a_marked_picture_is_marked_alike() -> None:
    assert mark_in(with_mark_of(written("WEBP", MARK.packet), png())) == MARK
    assert with_mark_of(png(form="JPEG"), png()) == png()


def test_a_mark_of_another_program_counts_too() -> None:
    kind = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    element = f"<Iptc4xmpExt:DigitalSourceType>{kind}</Iptc4xmpExt:DigitalSourceType>"
    assert read_packet(element.encode()) == Mark()
    assert read_packet(f"<x Iptc4xmpExt:DigitalSourceType='{kind}'/>".encode()) == Mark()


def test_a_packet_that_names_another_source_is_no_mark() -> None:
    kind = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
    assert read_packet(f'<x Iptc4xmpExt:DigitalSourceType="{kind}"/>'.encode()) is None
    assert read_packet(b"\xff\0 nonsense") is None


def test_a_hostile_packet_is_read_quickly() -> None:
    began = time.process_time()
    assert read_packet(b'Iptc4xmpExt:DigitalSourceType="' * 100_000) is None
    assert read_packet(b"Iptc4xmpExt:DigitalSourceType>" + b" " * 1_000_000) is None
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("form", FORMS)
def test_a_file_without_a_manifest_has_no_credentials(form: str) -> None:
    assert not has_credentials(written(form, MARK.packet))


def test_another_kind_of_file_is_refused() -> None:
    with pytest.raises(ValueError, match="is no PNG"):
        mark_in(b"GIF89a")
