"""What a picture's file says of its making, and whether the service draws the same picture again."""

import io
import json
import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError

from jobs.errors import InvalidFileError
from jobs.pictures.mark import DigitalSource, has_credentials, mark_in
from jobs.pictures.parts import open_parts
from jobs.pictures.texts import texts_in
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.wire import Wire
from lodestar.errors import invalid_request
from lodestar.inputs import pillow

ALIKE_DB = 30.0  # of a file that was written again with loss, at a quality that people use

# Nothing that a manifest names is fetched: a stranger's file would choose the address.
_OFFLINE = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}


class MarkInfo(Wire):
    """The XMP mark of a file."""

    source: DigitalSource = Field(description="How the picture came to be, in IPTC's words.")
    generator: str = Field(description="Program that made it; empty if the mark does not say.")
    model: str = Field(description="Model; empty likewise.")
    document_id: str = Field(description="The same in all files of one picture; empty likewise.")


class Credentials(Wire):
    """The C2PA manifest of a file."""

    state: Literal["none", "unread", "invalid", "valid", "trusted"] = Field(
        description="none; unread, for c2pa-python is not installed; invalid, since the file or the manifest was "
        "changed; valid, by a certificate that no trust list here knows; or trusted."
    )
    issuer: str | None = Field(None, description="Whom the certificate names.")
    source: DigitalSource | None = Field(None, description="How the picture came to be, by the manifest.")
    problems: tuple[str, ...] = Field((), description="C2PA's codes of what is wrong.")


class Redrawn(Wire):
    """The picture beside the one that the service has drawn by the same request."""

    job: str = Field(description="Id of the new job.")
    index: int = Field(description="Number of its picture that is most alike.")
    verdict: Literal["identical", "alike", "different"]
    psnr_db: float | None = Field(description="Peak signal-to-noise ratio; null if no pixel differs.")


class Report(Wire):
    """What is known of a file."""

    form: str = Field(description="PNG, JPEG or WEBP.")
    mark: MarkInfo | None = Field(description="Its XMP mark; null without one.")
    credentials: Credentials
    infotext: str | None = Field(description="The request as A1111 writes it; null without one.")
    has_request: bool = Field(description="Whether it carries its whole request.")
    redrawn: Redrawn | None = None

    @property
    def says_generated(self) -> bool:
        """Whether the file says that a model has made the picture, in a mark or a manifest that is not broken."""
        return self.mark is not None or (
            self.credentials.state in {"valid", "trusted"} and self.credentials.source is not None
        )


def inspect(file: bytes) -> Report:
    """What a file carries. Nothing is sent anywhere.

    Raises:
        InvalidFileError: it is no PNG, JPEG or WebP file, or a damaged one.
    """
    try:
        mark, texts = mark_in(file), texts_in(file)
        return Report(
            form=open_parts(io.BytesIO(file)),
            mark=None if mark is None else MarkInfo.model_validate(vars(mark)),
            credentials=_credentials(file),
            infotext=texts.get("parameters"),
            has_request="lodestar" in texts,
        )
    except ValueError as error:
        raise InvalidFileError(f"the file {error}") from error


def request_in(file: bytes) -> GenerateRequest:
    """The request that a PNG carries, to be sent again.

    Raises:
        InvalidFileError: it carries none.
        InvalidRequestError: it is of another version, or not ours.
    """
    text = texts_in(file).get("lodestar")
    if text is None:
        raise InvalidFileError("the file carries no request: name its job, or verify the PNG file")
    try:
        return request_again(json.loads(text))
    except ValueError as error:
        raise InvalidFileError("the request in the file is damaged") from error


def request_again(resolved: Mapping[str, Any]) -> GenerateRequest:
    """A resolved request as one to be sent again: without what only resolving finds out.

    Raises:
        InvalidRequestError: a field is unknown, or out of its bounds.
    """
    try:
        ResolvedRequest.model_validate(resolved)
        return _accepted(json.loads(json.dumps(resolved)))
    except ValidationError as error:
        raise invalid_request(error) from error


def compare(file: bytes, drawn: bytes) -> float:
    """The peak signal-to-noise ratio of two pictures in dB: infinite if they are equal, -inf if their sizes differ.

    Raises:
        MissingPackageError: Pillow is not installed.
    """
    opened = pillow("verify --redraw").open
    from PIL import ImageChops, ImageStat

    one, other = (opened(io.BytesIO(each)).convert("RGB") for each in (file, drawn))
    if one.size != other.size:
        return -math.inf
    squares = ImageStat.Stat(ImageChops.difference(one, other)).sum2
    mean = sum(squares) / (3 * one.width * one.height)
    return math.inf if mean == 0 else 10 * math.log10(255**2 / mean)


def judged(job_id: str, likeness: Mapping[int, float]) -> Redrawn:
    """The verdict on a file, by its likeness in dB to each picture of a new job."""
    index = max(likeness, key=lambda each: likeness[each])
    psnr = likeness[index]
    verdict: Literal["identical", "alike", "different"] = "alike" if psnr >= ALIKE_DB else "different"
    return Redrawn(
        job=job_id,
        index=index,
        verdict="identical" if psnr == math.inf else verdict,
        psnr_db=round(psnr, 1) if math.isfinite(psnr) else None,
    )


def _accepted(fields: dict[str, Any]) -> GenerateRequest:
    try:
        return GenerateRequest.model_validate(fields)
    except ValidationError as error:
        known_only = [each["loc"] for each in error.errors() if each["type"] == "extra_forbidden"]
        if not known_only:
            raise
    for *place, name in known_only:
        inner: Any = fields
        for step in place:
            inner = inner[step]
        del inner[name]
    return GenerateRequest.model_validate(fields)


def _credentials(file: bytes) -> Credentials:
    if not has_credentials(file):
        return Credentials(state="none")
    try:
        import c2pa
    except ImportError:
        return Credentials(state="unread")
    form = open_parts(io.BytesIO(file))
    try:
        context = c2pa.Context(c2pa.Settings.from_dict(_OFFLINE))
        with c2pa.Reader(f"image/{form.lower()}", io.BytesIO(file), context=context) as reader:
            said = json.loads(reader.json())
            state = str(reader.get_validation_state()).lower()
    except c2pa.C2paError as error:
        return Credentials(state="invalid", problems=(str(error)[:200],))
    active = said.get("manifests", {}).get(said.get("active_manifest"), {})
    return Credentials(
        state="valid" if state == "valid" else "trusted" if state == "trusted" else "invalid",
        issuer=active.get("signature_info", {}).get("issuer"),
        source=_source_of(active),
        problems=tuple(each["code"] for each in said.get("validation_status", ())),
    )


def _source_of(manifest: dict[str, Any]) -> DigitalSource | None:
    for assertion in manifest.get("assertions", ()):
        for action in assertion.get("data", {}).get("actions", ()):
            kind = str(action.get("digitalSourceType", "")).rpartition("/")[2]
            if kind in set(DigitalSource):
                return DigitalSource(kind)
    return None
