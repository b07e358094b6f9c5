"""Pictures from latents and back: in one pass where the device has room for it, else in bands."""

from collections.abc import Callable

import structlog
import torch
from torch import Tensor

from worker.models.device import Device
from worker.models.failures import is_out_of_memory
from worker.models.networks.banded_vae import decode_in_bands, encode_in_bands, is_banded
from worker.models.networks.bands import Bands
from worker.models.networks.decoding import Decoder

# Bytes that one pass takes, and those that its bands are read from and written to: so many maps of a picture's own
# size, with the channels of the last two levels together. ``python -m benchmarks.gpu.vae_memory`` measures them.
MAPS_DECODED, MAPS_ENCODED, MAPS_KEPT = 4.0, 2.0, 1.5
BAND_SHARE = 0.25  # of the spare memory
LEAST_BAND_BYTES, MOST_BAND_BYTES = 16 << 20, 512 << 20

log = structlog.get_logger(__name__)


class PictureCoder:
    """A VAE without derivatives. What it answers does not depend on the room that there is, up to rounding."""

    def __init__(self, decoder: Decoder, device: Device) -> None:
        """Keep what says which VAE is run, in which format, and the device with its memory."""
        self._decoder, self._device = decoder, device
        self._is_banded = is_banded(decoder.vae)

    @torch.no_grad()
    def decode(self, latents: Tensor, whole: Callable[[Tensor], Tensor]) -> Tensor:
        """Latents [B, C, h, w] to pictures [B, 3, H, W], nominally in [0, 1] but not clamped; ``whole`` in one pass."""
        vae = self._decoder.vae
        factor = 2 ** (len(vae.config.block_out_channels) - 1)
        pixels = latents.shape[2] * latents.shape[3] * factor**2

        def in_bands(latents: Tensor, bands: Bands) -> Tensor:
            scaled = latents.to(vae.device, vae.dtype) / vae.config.scaling_factor
            return decode_in_bands(vae, scaled, bands).to(vae.device) / 2 + 0.5

        return self._run(latents, pixels, MAPS_DECODED, whole, in_bands)

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures [B, 3, H, W] in [0, 1] to the modes of their posteriors [B, C, h, w], scaled for the denoiser."""
        vae = self._decoder.vae
        pixels = pictures.shape[2] * pictures.shape[3]

        def in_bands(pictures: Tensor, bands: Bands) -> Tensor:
            return encode_in_bands(vae, pictures, bands).chunk(2, dim=1)[0]

        def whole(pictures: Tensor) -> Tensor:
            modes: Tensor = vae.encode(pictures).latent_dist.mode()
            return modes

        given = (2 * pictures - 1).to(vae.dtype)
        modes = self._run(given, pixels, MAPS_ENCODED, whole, in_bands)
        scaled: Tensor = modes * vae.config.scaling_factor
        return scaled

    def _map_bytes(self, pixels: int) -> float:
        """A map of so many pixels, with the channels of the last two levels together."""
        vae = self._decoder.vae
        channels: int = sum(vae.config.block_out_channels[:2])
        return float(channels * pixels * vae.dtype.itemsize)

    def _run(
        self,
        rows: Tensor,
        pixels: int,
        maps: float,
        whole: Callable[[Tensor], Tensor],
        in_bands: Callable[[Tensor, Bands], Tensor],
    ) -> Tensor:
        """The answers to rows [B, ...]; in bands, one after the other, where one pass of a single row does not fit."""
        if not self._is_banded:
            return whole(rows)
        spare, each = self._device.spare_bytes(), self._map_bytes(pixels)
        if maps * each <= spare:
            try:
                return whole(rows)
            except Exception as error:
                # Half of several rows may fit yet: that is the runner's to try.
                if len(rows) > 1 or not is_out_of_memory(error):
                    raise
            self._device.empty_cache()
            spare = 0.0
        log.info("a VAE is run in bands", size=tuple(rows.shape[2:]), bytes=maps * each, spare=spare)
        bands = self._bands(MAPS_KEPT * each, spare)
        return torch.cat([in_bands(row, bands) for row in rows.split(1)])

    def _bands(self, kept: float, spare: float) -> Bands:
        device = self._device.device
        home = device if kept < (1 - BAND_SHARE) * spare else torch.device("cpu")
        return Bands(device, home, min(max(BAND_SHARE * spare, LEAST_BAND_BYTES), MOST_BAND_BYTES))
