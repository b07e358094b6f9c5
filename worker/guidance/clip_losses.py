"""The loss terms of one CLIP for a batch of pictures, as weighted sums over the cutouts of them all.

Each cutout has the weight and the target of its picture. So a chunk of cutouts is one sum, whichever pictures they
belong to, and nothing is read from the device for it.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from worker.guidance.cutouts import Cutouts, add_noise, make_cutouts
from worker.guidance.objectives import ClipTerm, ClipTerms, Loss, SphericalLoss, spherical_distance


@dataclass(frozen=True, eq=False)
class _Own:
    """The terms of one picture, and the place of its cutouts among all."""

    picture: int
    terms: ClipTerms
    start: int
    share: float  # of a cutout in the loss

    @property
    def stop(self) -> int:
        return self.start + len(self.terms.cutouts)


@dataclass(frozen=True, eq=False)
class _Column:
    """One term of each picture at most, all of one kind.

    Attributes:
        terms: by the number of the picture.
        weights: of each cutout, [N]; 0 where its picture has no such term.
        losses: embeddings [n, E] and the numbers of their pictures [n] to losses [n].
    """

    terms: dict[int, ClipTerm]
    weights: Tensor
    losses: Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class TermLoss:
    """The loss of one term of one picture, without its weight."""

    picture: int
    objective: int
    weight: float
    value: float


class ClipLosses:
    """The terms of one CLIP for P pictures with N cutouts in all."""

    def __init__(self, clip: str, losses: Sequence[Loss], pictures: Tensor) -> None:
        """Put the terms together, on the pictures' device.

        Args:
            clip: its id; some picture has terms of it.
            losses: of each picture.
            pictures: [P, 3, H, W].
        """
        self._pictures = pictures
        self._own = list(_places(clip, losses))
        cutouts = [own.terms.cutouts for own in self._own]
        # Numbers and weights go to the device in one piece each; noise follows chunk by chunk.
        self._all = Cutouts(cutouts[0].px, torch.cat([each.numbers for each in cutouts], dim=1).to(pictures))
        owners = torch.tensor([own.picture for own in self._own])
        self._owners = self._each_cutout(owners).to(pictures.device)
        self._columns = [
            _Column(terms, self._weights(terms), _losses_of(terms, len(losses), pictures.device))
            for terms in _by_kind(self._own)
        ]
        self._values: list[Tensor] = []

    def __len__(self) -> int:
        return len(self._owners)

    def cutouts(self, start: int, stop: int) -> Tensor:
        """Cutouts ``start`` to ``stop``, [n, 3, px, px]; differentiable."""
        touched = [own for own in self._own if own.start < stop and own.stop > start]
        if len(touched) == 1:
            pictures = self._pictures[touched[0].picture, None]  # which is not copied for each of its cutouts
        else:
            pictures = self._pictures.index_select(0, self._owners[start:stop])
        made = make_cutouts(pictures, self._all.part(start, stop))
        for own in touched:
            first, last = max(own.start, start), min(own.stop, stop)
            add_noise(
                made[first - start : last - start],
                own.terms.cutouts.part(first - own.start, last - own.start),
            )
        return made

    def total(self, embeddings: Tensor, start: int) -> Tensor:
        """The weighted loss of the cutouts from ``start`` on, whose embeddings these are, [n, E]."""
        chunk = slice(start, start + len(embeddings))
        losses = [column.losses(embeddings, self._owners[chunk]) for column in self._columns]
        weighted = [column.weights[chunk] * each for column, each in zip(self._columns, losses, strict=True)]
        self._values.append(torch.stack([each.detach() for each in losses]))
        return (weighted[0] if len(weighted) == 1 else torch.stack(weighted)).sum()

    def values(self) -> Tensor:
        """The losses of all cutouts so far, [columns * N], for ``terms``."""
        return torch.cat(self._values, dim=1).flatten()

    def terms(self, values: Sequence[float]) -> Iterator[TermLoss]:
        """The loss of each term, from ``values``."""
        for number, column in enumerate(self._columns):
            first = number * len(self)
            for own in self._own:
                if (term := column.terms.get(own.picture)) is not None:
                    value = own.share * sum(values[first + own.start : first + own.stop])
                    yield TermLoss(own.picture, term.objective, term.weight, value)

    def _weights(self, terms: dict[int, ClipTerm]) -> Tensor:
        weights = [
            own.share * terms[own.picture].weight if own.picture in terms else 0.0 for own in self._own
        ]
        return self._each_cutout(torch.tensor(weights, dtype=torch.float64)).to(self._pictures)

    def _each_cutout(self, values: Tensor) -> Tensor:
        """A picture's value for each of its cutouts, [N]."""
        return values.repeat_interleave(torch.tensor([len(own.terms.cutouts) for own in self._own]))


def _places(clip: str, losses: Sequence[Loss]) -> Iterator[_Own]:
    start = 0
    for picture, loss in enumerate(losses):
        for terms in loss.clip_terms:
            if terms.clip == clip:
                count = len(terms.cutouts)
                yield _Own(picture, terms, start, 1 / count if loss.reduction == "mean" else 1.0)
                start += count


def _by_kind(own: Sequence[_Own]) -> list[dict[int, ClipTerm]]:
    """The terms of all pictures, each picture's nth target together, and those of one aesthetic predictor."""
    columns: dict[Hashable, dict[int, ClipTerm]] = {}
    for each in own:
        for number, term in enumerate(each.terms.terms):
            kind: Hashable = number if isinstance(term.loss, SphericalLoss) else (term.loss, number)
            columns.setdefault(kind, {})[each.picture] = term
    return list(columns.values())


def _losses_of(
    terms: dict[int, ClipTerm], pictures: int, device: torch.device
) -> Callable[[Tensor, Tensor], Tensor]:
    """The losses of a column, as a function of embeddings and of the numbers of their pictures."""
    some = next(iter(terms.values())).loss
    if not isinstance(some, SphericalLoss):
        return lambda embeddings, _: some(embeddings)
    found = [terms[number].loss if number in terms else some for number in range(pictures)]
    targets = torch.cat([loss.target for loss in found if isinstance(loss, SphericalLoss)]).to(device)
    return lambda embeddings, owners: spherical_distance(
        embeddings, targets.to(embeddings).index_select(0, owners)
    )
