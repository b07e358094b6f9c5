"""The texts in a PNG file, read without decoding pixels."""

import io

from jobs.pictures.parts import open_parts, png_chunks

_MAX_BYTES = 1 << 20  # of one text


def texts_in(file: bytes) -> dict[str, str]:
    """The uncompressed texts of a PNG file by their keywords, those after its pixels too; none for other formats.

    Raises:
        ValueError: it is no PNG, JPEG or WebP file, in words that follow its name.
    """
    source = io.BytesIO(file)
    if open_parts(source) != "PNG":
        return {}
    found = {}
    for kind, length in png_chunks(source):
        if kind in (b"tEXt", b"iTXt") and length <= _MAX_BYTES:
            keyword, _, content = source.read(length).partition(b"\0")
            if kind == b"tEXt":
                found[keyword.decode("latin-1")] = content.decode("latin-1")
            elif content[:1] == b"\0":
                text = content[2:].split(b"\0", 2)[-1]  # after method, language and translated keyword
                found[keyword.decode("latin-1")] = text.decode("utf-8", "replace")
    return found
