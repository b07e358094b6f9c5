"""The reader of pictures that callers bring."""

import io
import subprocess
import sys
import threading
import time
from random import Random

import numpy as np
import pytest
from PIL import Image

from jobs.errors import InvalidFileError
from jobs.pictures.headers import MAX_SCANS, read_header
from jobs.pictures.reader import KEPT_PIXELS, MAX_PIXELS, Kept, digest_of, read_picture, to_png
from tests.brought_pictures import (
    SIDE,
    encoded,
    greys,
    lying,
    refused,
    same_greys,
    same_scene,
    same_white,
    scene,
    with_scans,
)

REFUSED = refused()
LEVELS = 12  # of 255, that a lossy encoding or a palette may be off


def apart(picture: Image.Image, other: Image.Image) -> int:
    """The largest difference of two pictures of one size, in levels."""
    assert picture.size == other.size
    assert picture.mode == "RGB"
    difference = np.asarray(picture).astype(int) - np.asarray(other.convert("RGB")).astype(int)
    return int(np.abs(difference).max())


@pytest.mark.parametrize(("name", "file"), same_scene().items())
def test_a_picture_is_the_same_in_whatever_encoding_it_comes(name: str, file: bytes) -> None:
    assert apart(read_picture(file, name), scene()) <= LEVELS


@pytest.mark.parametrize(("name", "file"), same_greys().items())
def test_a_grey_picture_is_the_same_in_whatever_encoding_it_comes(name: str, file: bytes) -> None:
    assert apart(read_picture(file, name), greys()) <= LEVELS


@pytest.mark.parametrize(("name", "file"), same_white().items())
def test_what_is_transparent_is_white(name: str, file: bytes) -> None:
    assert apart(read_picture(file, name), Image.new("RGB", (SIDE, SIDE), "white")) == 0


@pytest.mark.parametrize("kept", Kept)
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_picture_is_refused_in_one_way_and_by_its_name(name: str, kept: Kept) -> None:
    start = time.process_time()
    with pytest.raises(InvalidFileError, match=r"^the file ") as refusal:
        read_picture(REFUSED[name], "the file", field="pictures", kept=kept)
    assert refusal.value.field == "pictures"
    assert time.process_time() - start < 2


@pytest.mark.parametrize("name", ["30000 x 30000", "2 ** 31", "5000 x 5000", "20000 x 1"])
def test_a_picture_beyond_the_limits_is_called_too_large_with_its_size_and_with_the_limits(name: str) -> None:
    with pytest.raises(
        InvalidFileError, match=r"too large: \d+ x \d+ pixels.* 16 megapixels and 16384 on a side"
    ):
        read_picture(REFUSED[name], "it")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize(("width", "height"), [(3000, 1000), (1025, 1000), (8000, 40), (600, 400)])
def test_a_large_picture_is_shrunk_to_the_same_look_and_shape(form: str, width: int, height: int) -> None:
    large = scene(width, height)
    kept = read_picture(encoded(large, form, quality=95), "it")
    assert kept.width * kept.height <= KEPT_PIXELS
    assert kept.width * kept.height > 0.98 * min(KEPT_PIXELS, width * height)
    assert kept.width / kept.height == pytest.approx(width / height, rel=0.02)
    assert apart(kept, large.resize(kept.size, Image.Resampling.BOX)) <= LEVELS


def test_a_small_picture_is_not_enlarged_and_keeps_its_pixels() -> None:
    for size in ((1, 1), (16_384, 1), (512, 512), (511, 513)):
        assert apart(read_picture(encoded(scene(*size)), "it"), scene(*size)) == 0


def test_what_is_averaged_is_what_is_seen() -> None:
    """Alternating lines of red that shows and of black that does not, and of a palette's ends."""
    lines = np.zeros((1024, 1024, 4), np.uint8)
    lines[::2] = (255, 0, 0, 255)
    inner = (8, 8, 504, 504)  # at the edges, half a line more counts
    shown = read_picture(encoded(Image.fromarray(lines)), "it").crop(inner)
    assert apart(shown, Image.new("RGB", shown.size, (255, 128, 128))) <= 2
    palette = Image.fromarray(np.tile(np.array([[0], [200]], np.uint8), (512, 1024)), "L").convert("P")
    table = [0, 0, 0] * 256
    table[200 * 3 : 200 * 3 + 3] = [0, 0, 255]
    table[100 * 3 : 100 * 3 + 3] = [0, 255, 0]
    palette.putpalette(table)
    shown = read_picture(encoded(palette), "it").crop(inner)
    assert apart(shown, Image.new("RGB", shown.size, (0, 0, 128))) <= 2


def test_a_file_is_read_from_its_start_whoever_has_read_in_it() -> None:
    file = io.BytesIO(encoded(scene()))
    file.read(100)
    assert apart(read_picture(file, "it"), scene()) == 0


def test_a_large_picture_is_turned_by_its_exif_data_too() -> None:
    large = scene(1600, 800)
    for turn in (3, 6):
        kept = read_picture(lying(turn, image=large), "it")
        assert apart(kept, large.resize(kept.size, Image.Resampling.BOX)) <= LEVELS


def test_as_many_scans_are_read_as_any_encoder_makes() -> None:
    most = MAX_SCANS - with_scans(0).count(b"\xff\xda")
    assert read_picture(with_scans(most), "it").size == (64, 64)
    with pytest.raises(InvalidFileError, match="50 scans"):
        read_picture(with_scans(most + 1), "it")


def test_a_header_is_read_without_the_pixels() -> None:
    for form in ("PNG", "JPEG", "WEBP"):
        header = read_header(io.BytesIO(encoded(scene(30, 20), form)))
        assert (header.form, header.width, header.height) == (form, 30, 20)


def test_the_same_pixels_are_the_same_file_under_the_same_digest() -> None:
    names = ("plain", "rgba", "16 bits a channel", "exif6.png", "sRGB profile", "swapped profile")
    files = [to_png(read_picture(same_scene()[name], name)) for name in names]
    assert len(set(files)) == 1
    assert digest_of(files[0]) != digest_of(to_png(greys().convert("RGB")))
    assert read_picture(files[0], "it").tobytes() == scene().tobytes()


@pytest.mark.parametrize("kept", [Kept.WHOLE, Kept.WITH_ALPHA])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_large_picture_is_kept_whole_if_asked_for(form: str, kept: Kept) -> None:
    large = scene(1100, 900)
    lossless = {"lossless": True} if form == "WEBP" else {}
    picture = read_picture(encoded(large, form, quality=95, **lossless), "it", kept=kept)
    assert apart(picture, large) <= (LEVELS if form == "JPEG" else 0)


@pytest.mark.parametrize("kept", [Kept.WHOLE, Kept.WITH_ALPHA])
def test_a_picture_kept_whole_is_the_same_in_whatever_encoding_it_comes(kept: Kept) -> None:
    for name, file in same_scene().items():
        assert apart(read_picture(file, name, kept=kept), scene()) <= LEVELS, name


def test_transparency_is_white_or_kept() -> None:
    greyscale = {"black behind alpha"}
    for name, file in (*same_white().items(), *same_greys().items()):
        white = read_picture(file, name, kept=Kept.WHOLE)
        kept = read_picture(file, name, kept=Kept.WITH_ALPHA)
        assert white.mode == "RGB"
        assert kept.size == white.size
        if name in same_white() and name != "white":
            assert (kept.mode, kept.getchannel("A").getextrema()) == ("RGBA", (0, 0)), name
        elif name in greyscale:
            assert kept.mode == "RGBA"
            shown = Image.alpha_composite(Image.new("RGBA", kept.size, "white"), kept)
            assert apart(shown.convert("RGB"), white) <= 1
        else:
            assert kept.mode == "RGB", name  # wholly opaque
            assert kept.tobytes() == white.tobytes()


def test_the_opacity_is_turned_with_the_picture_and_its_colours_come_to_srgb() -> None:
    alpha = scene().getchannel(0)
    seen = scene().copy()
    seen.putalpha(alpha)
    exif = Image.Exif()
    exif[0x0112] = 6
    lying_down = encoded(seen.transpose(Image.Transpose.ROTATE_90), exif=exif)
    kept = read_picture(lying_down, "it", kept=Kept.WITH_ALPHA)
    assert kept.mode == "RGBA"
    assert kept.tobytes() == seen.tobytes()
    with Image.open(io.BytesIO(same_scene()["swapped profile"])) as swapped:
        clear, profile = swapped.convert("RGBA"), swapped.info["icc_profile"]
    clear.putalpha(alpha)
    kept = read_picture(encoded(clear, icc_profile=profile), "it", kept=Kept.WITH_ALPHA)
    assert apart(kept.convert("RGB"), scene()) <= LEVELS
    assert kept.getchannel("A").tobytes() == alpha.tobytes()


def test_a_stored_picture_is_kept_as_it_is_where_its_kind_fits() -> None:
    clear = scene().convert("RGBA")
    clear.putalpha(9)
    small, large, with_alpha = (
        read_header(io.BytesIO(to_png(picture))) for picture in (scene(), scene(600, 600), clear)
    )
    assert all(kind.keeps(small) for kind in Kept)
    assert [kind.keeps(large) for kind in Kept] == [False, True, True]
    assert [kind.keeps(with_alpha) for kind in Kept] == [False, False, True]


_MOST = """
import io, sys
from PIL import Image
from jobs.pictures.reader import read_picture
kind = sys.argv[1]
out = io.BytesIO()
if kind == "png":
    Image.new("RGBA", (4000, 4000)).save(out, "PNG", compress_level=1)
else:
    Image.new("RGB", (4000, 4000), (9, 99, 199)).save(out, "JPEG", progressive=True, subsampling=0)
file = open(sys.argv[2], "wb")
file.write(out.getvalue())
"""
_READ = """
import sys
from jobs.pictures.reader import read_picture, to_png
def peak():  # of this process alone: ru_maxrss begins with its parent's
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("VmHWM:")).split()[1])
before = peak()
from jobs.pictures.reader import Kept
with open(sys.argv[1], "rb") as file:
    to_png(read_picture(file, "it", kept=Kept[sys.argv[2]]))
print((peak() - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("kind", "kept", "most"),
    [
        ("png", "THUMBNAIL", 130),  # MiB; four copies took 256 more
        ("jpeg", "THUMBNAIL", 130),
        ("png", "WHOLE", 170),
        ("jpeg", "WHOLE", 170),
        ("png", "WITH_ALPHA", 190),
    ],
)
def test_the_largest_pictures_take_little_more_memory_than_the_decoder_does(
    kind: str, kept: str, most: int, tmp_path: object
) -> None:
    file = f"{tmp_path}/largest"
    subprocess.run([sys.executable, "-c", _MOST, kind, file], check=True, timeout=60)
    done = subprocess.run(
        [sys.executable, "-c", _READ, file, kept], check=True, timeout=60, capture_output=True, text=True
    )
    assert int(done.stdout) < most


def test_a_damaged_file_is_read_or_refused_and_does_nothing_else() -> None:
    rng = Random(0)
    files = [*same_scene().values(), *same_greys().values(), *same_white().values(), with_scans(20)]
    read = 0
    for _ in range(1500):
        data = bytearray(rng.choice(files))
        for _ in range(rng.choice((1, 2, 10))):
            place, length = rng.randrange(len(data)), rng.choice((0, 1, 1, 8))
            data[place : place + length] = rng.randbytes(rng.choice((0, 1, 1, 8)))
        kept = rng.choice(list(Kept))
        try:
            picture = read_picture(bytes(data), "it", kept=kept)
        except InvalidFileError:
            continue
        assert picture.mode == "RGB" or (picture.mode, kept) == ("RGBA", Kept.WITH_ALPHA)
        assert picture.width * picture.height <= (KEPT_PIXELS if kept is Kept.THUMBNAIL else MAX_PIXELS)
        read += 1
    assert 50 < read < 1000


def test_threads_share_the_reader() -> None:
    files = [*same_scene().values()] * 4
    wrong: list[int] = []

    def read(file: bytes) -> None:
        if (difference := apart(read_picture(file, "it"), scene())) > LEVELS:
            wrong.append(difference)

    threads = [threading.Thread(target=read, args=(file,)) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
