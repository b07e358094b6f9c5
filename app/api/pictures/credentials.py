"""Content credentials: C2PA manifests, which say who vouches for a picture's making (https://spec.c2pa.org, 2.x)."""

import io
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from app.api.pictures.formats import Format
from jobs import extras
from jobs.errors import ConfigurationError
from jobs.pictures.mark import Mark, mark_in

# Thumbnails would take fifty times as long, and up to a megabyte in each file.
_SETTINGS = {"builder": {"thumbnail": {"enabled": False}}}
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


class Signer:
    """Signs pictures with an operator's certificate. Threads may share one.

    The signature binds the bytes of one file, so each file is signed once it has its format. No time is certified: that
    would need another server for each picture. A signature is good as long as its certificate.
    """

    def __init__(self, certificate: bytes, key: bytes) -> None:
        """Make one, and try it on a small picture.

        Args:
            certificate: the chain in PEM, the signer's own first, the root's left out or not.
            key: the signer's private key in PEM, without a password: EC on P-256, P-384 or P-521, Ed25519, or RSA.

        Raises:
            ConfigurationError: the extra is missing, or the two do not sign a picture.
        """
        if find_spec("c2pa") is None:
            raise ConfigurationError(
                extras.missing("signing pictures", "c2pa"), field="c2pa_certificate_file"
            )
        import c2pa

        try:
            self._context = c2pa.Context(c2pa.Settings.from_dict(_SETTINGS))
            info = c2pa.C2paSignerInfo(_algorithm_of(key), certificate, key, None)
            self._signer = c2pa.Signer.from_info(info)
            self._try(c2pa)
        except (c2pa.C2paError, ValueError, TypeError) as error:
            raise ConfigurationError(
                f"the certificate and the key for content credentials sign no picture: {error}",
                field="c2pa_certificate_file",
            ) from error

    def sign(self, file: bytes, form: Format) -> bytes:
        """A finished file with a manifest that says what its mark says.

        Raises:
            c2pa.C2paError: it is no such file.
        """
        import c2pa

        mark = mark_in(file) or Mark()
        out = io.BytesIO()
        with c2pa.Builder.from_json(json.dumps(_manifest(mark)), self._context) as builder:
            builder.sign(self._signer, form.media_type, io.BytesIO(file), out)
        return out.getvalue()

    def _try(self, c2pa: Any) -> None:
        from PIL import Image

        blank = io.BytesIO()
        Image.new("RGB", (8, 8)).save(blank, "PNG")
        signed = self.sign(blank.getvalue(), Format.PNG)
        with c2pa.Reader(Format.PNG.media_type, io.BytesIO(signed)) as reader:
            if reader.get_validation_state() == "Invalid":
                raise ValueError("they do not belong together, or the certificate may not sign content")


def load_signer(certificate_file: Path | None, key_file: Path | None) -> Signer | None:
    """The signer that an operator has configured; None if it is none.

    Raises:
        ConfigurationError: one of the two is missing or cannot be read, or as for ``Signer``.
    """
    if certificate_file is None and key_file is None:
        return None
    return Signer(_content(certificate_file, "c2pa_certificate_file"), _content(key_file, "c2pa_key_file"))


def _content(file: Path | None, field: str) -> bytes:
    if file is None:
        raise ConfigurationError("content credentials need a certificate and its key", field=field)
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}", field=field) from error


def _algorithm_of(key: bytes) -> str:
    """C2PA's name of the algorithm that a key signs with."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    match load_pem_private_key(key, password=None):
        case ec.EllipticCurvePrivateKey(curve=curve) if curve.name in _CURVES:
            return _CURVES[curve.name]
        case ed25519.Ed25519PrivateKey():
            return "ed25519"
        case rsa.RSAPrivateKey():
            return "ps256"
    raise ValueError("C2PA has no algorithm for keys of this kind")


def _manifest(mark: Mark) -> dict[str, Any]:
    name, _, version = mark.generator.partition(" ")
    agent = {"name": name or "Lodestar", **({"version": version} if version else {})}
    created = {
        "action": "c2pa.created",
        "digitalSourceType": mark.source.uri,
        "softwareAgent": agent,
        **({"parameters": {"model": mark.model}} if mark.model else {}),
    }
    assertion = {"label": "c2pa.actions.v2", "data": {"actions": [created]}}
    return {"claim_generator_info": [agent], "assertions": [assertion]}
