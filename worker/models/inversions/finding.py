"""Reads the textual inversions of a model."""

from collections.abc import Mapping, Sequence

import structlog
from torch import Tensor

from jobs.catalog.models import ModelCard
from jobs.catalog.textual_inversions import TextualInversionCard
from jobs.errors import ModelUnavailableError
from worker.models.inversions.files import inversion_file, read_inversion
from worker.models.inversions.words import Room, Words
from worker.models.loading.digests import Digests
from worker.models.loading.files import require_pinned

log = structlog.get_logger(__name__)


def find_words(
    cards: Sequence[TextualInversionCard],
    model: ModelCard,
    digests: Digests,
    encoders: Mapping[str, Room],
) -> Mapping[str, Words]:
    """The words of a model, for each of its text encoders.

    One that cannot be used fails the jobs that use it, and no others.

    Args:
        cards: of the catalog.
        model: that they are for.
        digests: of files.
        encoders: of the model, by their names in adapters' files.
    """
    words: dict[str, dict[str, Tensor | ModelUnavailableError]] = {name: {} for name in encoders}
    for card in cards:
        try:
            inversion_file(card.path)
            require_pinned(card, card.path, digests)
            inversion = read_inversion(card.path)
            inversion.require_fit(encoders)
            for name, its in words.items():
                its[card.word] = inversion.vectors[name]
        except (ModelUnavailableError, OSError) as error:
            reason = error.message if isinstance(error, ModelUnavailableError) else str(error)
            log.warning("textual inversion not usable", id=card.id, model=model.id, reason=reason)
            # An entry without a base says that it is for every model.
            hint = "" if card.base else "; its entry names no base, the models that it is made for"
            unusable = ModelUnavailableError(
                f"the textual inversion {card.id!r} cannot be used with {model.id!r}: {reason}{hint}"
            )
            for its in words.values():
                its[card.word] = unusable
    return words
