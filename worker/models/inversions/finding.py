"""Reads the textual inversions of a model."""

from collections.abc import Sequence

import structlog
from torch import Tensor

from jobs.catalog.catalog import ModelCard
from jobs.catalog.textual_inversions import TextualInversionCard
from jobs.errors import ModelUnavailableError
from worker.models.inversions.files import inversion_file, read_inversion
from worker.models.inversions.words import Words
from worker.models.loading.digests import Digests
from worker.models.loading.files import require_pinned

log = structlog.get_logger(__name__)


def find_words(
    cards: Sequence[TextualInversionCard], model: ModelCard, digests: Digests, width: int, room: int
) -> Words:
    """The words of a model.

    One that cannot be used fails the jobs that use it, and no others.

    Args:
        cards: of the catalog.
        model: that they are for.
        digests: of files.
        width: of its text encoder's states.
        room: tokens of a text that it reads at once.
    """
    words: dict[str, Tensor | ModelUnavailableError] = {}
    for card in cards:
        try:
            inversion_file(card.path)
            require_pinned(card, card.path, digests)
            inversion = read_inversion(card.path)
            # Without a base it is for any model of its width.
            if card.base or inversion.vectors.shape[1] == width:
                inversion.require_fit(width, room)
                words[card.word] = inversion.vectors
        except (ModelUnavailableError, OSError) as error:
            reason = error.message if isinstance(error, ModelUnavailableError) else str(error)
            log.warning("textual inversion not usable", id=card.id, model=model.id, reason=reason)
            words[card.word] = ModelUnavailableError(
                f"the textual inversion {card.id!r} cannot be used with {model.id!r}: {reason}"
            )
    return words
