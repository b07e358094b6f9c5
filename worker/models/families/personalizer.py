"""Aesthetic gradients of a CLIP text encoder in memory."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from jobs.errors import ModelUnavailableError
from jobs.prompts.prompt import Fragment
from worker.aesthetics.fitting import Fitting
from worker.aesthetics.personalization import TuningCache, turned
from worker.calls import Tuning
from worker.models.chunks import Chunker
from worker.models.clip import ClipModel
from worker.models.families.text_encoder import TextEncoder


class Personalizer:
    """Fits copies of one model's text encoder to aesthetic embeddings (Gallego 2022)."""

    def __init__(self, encoder: TextEncoder) -> None:
        """Fit nothing yet.

        Args:
            encoder: a CLIP's.
        """
        self._text_encoder, self._read = encoder.reader, encoder.read
        self._chunker = Chunker(encoder.vocabulary, encoder.length)
        self._tuned = TuningCache()

    def personalize(
        self,
        text: str,
        direction: Tensor,
        tuning: Tuning,
        clip: ClipModel,
        fitting: object | None = None,
        *,
        changes: Callable[[], Mapping[str, Tensor]] = dict,
        seconds: float = math.inf,
    ) -> Tensor | Fitting:
        """The states [1, L, D] of a text after aesthetic gradients, float32 on the CPU.

        Of a text that is longer than the encoder's context, every window takes part in the tuning, and the first one
        conditions, as in ``Denoiser.encode_texts``.

        Args:
            text: the prompt.
            direction: of the aesthetic embedding, a unit vector [E].
            tuning: the parameters of the fit, by which the answer is cached.
            clip: the CLIP that the text encoder belongs to.
            fitting: the answer of the call before, if that was not the hidden states.
            changes: what adapters add to the encoder's weights, by their names.
            seconds: after these, answer the encoder as far as it is fitted.

        Raises:
            ModelUnavailableError: the encoder is not of that CLIP, or a textual inversion cannot be used.
            JobFailedError: the encoder overflowed.
        """
        known = self._tuned.find(text, tuning)
        if known is not None:
            return known
        if not isinstance(fitting, Fitting):
            fitting = self._fitting(text, direction, tuning, clip, changes())
        fitting.advance(seconds)
        return self._tuned.keep(text, tuning, fitting.states()[:1].cpu()) if fitting.done else fitting

    def _fitting(
        self, text: str, direction: Tensor, tuning: Tuning, clip: ClipModel, changes: Mapping[str, Tensor]
    ) -> Fitting:
        config, tower = self._text_encoder.config, clip.text_tower
        if tower.width != config.hidden_size:
            raise ModelUnavailableError(
                f"the text encoder has states of {config.hidden_size} numbers, and the CLIP that the catalog says it "
                f"belongs to has states of {tower.width}"
            )
        if tuning.text is not None:
            goal = clip.embed_text(tuning.text)[0]
            direction = turned(direction, goal, tuning.text_angle, negative=tuning.text_negative)
        device, windows = self._text_encoder.device, self._windows(text)
        return Fitting(
            self._text_encoder,
            tower.projection,
            windows.to(device),
            direction,
            steps=tuning.steps,
            lr=tuning.lr,
            read=self._read,
            clip_skip=tuning.clip_skip,
            changes=changes,
            completion=tower.completion(config.num_hidden_layers, device),
            # The CLIP knows no textual inversion, so what it says of one tells nothing.
            known=clip.embed_text(text)[0] if int(windows.min()) >= 0 else None,
        )

    def _windows(self, text: str) -> Tensor:
        """The tokens of a text [N, L], in as many windows of the encoder's context as it takes."""
        return torch.tensor([chunk.window.tokens for chunk in self._chunker.chunks((Fragment(text),))])
