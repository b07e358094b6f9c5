"""One text encoder of a model: prompts to its states, with adapters or without."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from jobs.errors import InvalidRequestError
from jobs.prompts.prompt import Wording
from worker.aesthetics.fitting import EncoderRun, Read, final_norm
from worker.models.adapters.adaptations import Adaptations
from worker.models.adapters.mixture import Mixture
from worker.models.caches import Latest
from worker.models.controls.held import Held
from worker.models.device import Device
from worker.models.inversions.reader import reader_of
from worker.models.inversions.vocabulary import Vocabulary
from worker.models.inversions.words import FindWords, Room, Words
from worker.models.wordings import WordingEncoder
from worker.rows import AdapterUse, TextStates

ADAPTED_SETS, ADAPTED_WINDOWS = 16, 32  # of texts with adapters: sets, and windows of each


def last_states(encoder: EncoderRun, tokens: Tensor, mask: Tensor | None, skips: Sequence[int]) -> TextStates:
    """The states after the last layer, or one before it, and the last norm: as Stable Diffusion 1.x and 2.x read them.

    Raises:
        InvalidRequestError: the encoder has no such layer.
    """
    if not any(skips):
        return TextStates(encoder.run(tokens, attention_mask=mask).last_hidden_state)
    made = encoder.run(tokens, attention_mask=mask, output_hidden_states=True)
    return TextStates(encoder.norm(_states_before(made.hidden_states, 0, skips)))


def last_but_one_states(
    encoder: EncoderRun, tokens: Tensor, mask: Tensor | None, skips: Sequence[int]
) -> TextStates:
    """The states before the last layer, or one before it; and pooled ones of an encoder with a projection.

    SDXL reads both. The pooled ones are always those of the last layer.

    Raises:
        InvalidRequestError: the encoder has no such layer.
    """
    made = encoder.run(tokens, attention_mask=mask, output_hidden_states=True)
    return TextStates(_states_before(made.hidden_states, 1, skips), getattr(made, "text_embeds", None))


def _states_before(hidden: Sequence[Tensor], usual: int, skips: Sequence[int]) -> Tensor:
    """The states [N, L, D] of each row's layer.

    Args:
        hidden: states before the first layer and after each, [N, L, D].
        usual: layers that are always left out at the end.
        skips: more of them, for each row.
    """
    most = len(hidden) - 2 - usual
    if max(skips) > most:
        raise InvalidRequestError(
            f"clip_skip is {max(skips)}, and a text encoder of this model has layers for {most} at most"
        )
    if len(set(skips)) == 1:
        return hidden[-1 - usual - skips[0]]
    return torch.stack([hidden[-1 - usual - skip][row] for row, skip in enumerate(skips)])


class TextEncoder:
    """A text encoder of transformers, with the words of textual inversions.

    Attributes:
        tokenizer: of transformers.
        vocabulary: its tokens, and the words that have vectors.
        network: the encoder.
        reader: the same, for tokens of either kind.
        length: L, tokens of its context.
        read: what is read of its answer.
    """

    def __init__(
        self,
        part: str,
        tokenizer: Any,
        network: Any,
        read: Read,
        device: Device,
        words: Words,
    ) -> None:
        """Encode nothing yet.

        Args:
            part: its name in adapters' files.
            tokenizer: of transformers.
            network: a CLIP's text encoder, with a projection or without.
            read: what is read of its answer.
            device: where it will be.
            words: of textual inversions, for it.
        """
        self._part, self.tokenizer, self.network, self.read = part, tokenizer, network, read
        self.length = _length(tokenizer, network)
        self.vocabulary = Vocabulary(tokenizer, words)
        self.reader = reader_of(network, self.vocabulary.vectors, device)
        self._device = device.device
        self._norm = final_norm(self.reader)[1]
        self._plain = self._by(self.reader)
        self._adapted: Latest[Mixture, WordingEncoder] = Latest(ADAPTED_SETS)

    def __call__(
        self, wordings: Sequence[Wording], adaptations: Adaptations, uses: Sequence[AdapterUse], held: Held
    ) -> list[TextStates]:
        """The states of each wording.

        Args:
            wordings: of prompts.
            adaptations: of the model's networks.
            uses: adapters for them.
            held: has these.
        """
        mixture = adaptations.of_all(self._part, uses, held.adapter)
        if mixture is None:
            return self._plain(wordings)
        run = partial(adaptations.run, self._part, mixture)
        return self._adapted.of(mixture, lambda: self._by(run, kept=ADAPTED_WINDOWS))(wordings)

    def forget(self) -> None:
        """Keep nothing of any adapter."""
        self._adapted.clear()

    def _by(self, run: Callable[..., Any], **options: int) -> WordingEncoder:
        encode = torch.inference_mode()(partial(self.read, EncoderRun(run, self._norm)))
        return WordingEncoder(self.vocabulary, self.length, encode, self._device, **options)


def text_encoders(
    parts: Mapping[str, Any],
    tokenizers: Mapping[str, str],
    read: Read,
    device: Device,
    find_words: FindWords,
) -> dict[str, TextEncoder]:
    """The text encoders of a checkpoint, by their names in adapters' files.

    Args:
        parts: of the checkpoint.
        tokenizers: the part that is the tokenizer of each.
        read: what is read of their answers.
        device: where they will be.
        find_words: finds the words of textual inversions.
    """
    rooms = {
        name: Room(parts[name].config.hidden_size, _length(parts[tokenizer], parts[name]) - 2)
        for name, tokenizer in tokenizers.items()
    }
    words = find_words(rooms)
    return {
        name: TextEncoder(name, parts[tokenizer], parts[name], read, device, words[name])
        for name, tokenizer in tokenizers.items()
    }


def _length(tokenizer: Any, network: Any) -> int:
    """Tokens of an encoder's context, its own two included."""
    length: int = min(tokenizer.model_max_length, network.config.max_position_embeddings)
    return length
