"""The loss of each guided step: the objectives that are active then, and cutouts for each CLIP."""

import torch

from jobs.requests.guidance import ResolvedGuidance
from jobs.requests.objectives import Objective, PixelObjective
from jobs.requests.presets import PRESETS
from jobs.requests.schedules import parse_schedule, split_cutouts, value_at
from worker.guidance.cutouts import AUGMENTATIONS, CutoutSpec, draw_cutouts
from worker.guidance.objectives import ClipTerm, ClipTerms, Loss, PixelTerm
from worker.sampling.targets import Targets


class StepLosses:
    """Draws the loss of a step, with cutouts from the picture's own generator."""

    def __init__(
        self,
        guidance: ResolvedGuidance,
        targets: Targets,
        size: tuple[int, int],
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        """Draw nothing yet.

        Args:
            guidance: of the request.
            targets: the losses of its objectives.
            size: height and width of the picture in pixels.
            generator: of the picture.
            device: that needs the cutouts.
        """
        self._guidance = guidance
        self._preset = PRESETS[guidance.preset]
        self._targets = targets
        self._size = size
        self._generator = generator
        self._device = device

    def draw(self, progress: float) -> Loss | None:
        """The loss at a share of the run, from 0 to 1; None without an active objective or cutouts."""
        active = [
            (number, objective)
            for number, objective in enumerate(self._guidance.objectives)
            if objective.active(progress)
        ]
        clip_terms = self._clip_terms(
            [(number, objective) for number, objective in active if number in self._targets.losses],
            self._cutout_spec(progress),
        )
        pixel_terms = tuple(
            PixelTerm(number, objective.weight, objective.type)
            for number, objective in active
            if isinstance(objective, PixelObjective)
        )
        if not (clip_terms or pixel_terms):
            return None
        return Loss(clip_terms, pixel_terms, self._preset.reduction, self._guidance.blur * (1 - progress))

    def _clip_terms(self, objectives: list[tuple[int, Objective]], spec: CutoutSpec) -> tuple[ClipTerms, ...]:
        """The terms of each CLIP that has any, with weights whose sum is 1 or -1 over all CLIPs."""
        total = abs(sum(objective.weight for _, objective in objectives))
        found = []
        for clip, px in self._targets.px.items():
            terms = tuple(
                ClipTerm(number, objective.weight / total, self._targets.losses[number])
                for number, objective in objectives
                if (getattr(objective, "clip", None) or self._guidance.clip) == clip
            )
            if terms and len(spec):
                cutouts = draw_cutouts(spec, self._size, px, self._generator, self._device)
                found.append(ClipTerms(clip, cutouts, terms))
        return tuple(found)

    def _cutout_spec(self, progress: float) -> CutoutSpec:
        guidance, preset = self._guidance, self._preset
        overview, inner = split_cutouts(
            guidance.cutouts, guidance.overview_cuts, guidance.inner_cuts, progress
        )
        return CutoutSpec(
            overview,
            inner,
            cut_pow=guidance.cut_pow,
            stratified=guidance.stratified,
            inner_grey=value_at(parse_schedule(preset.inner_grey), progress),
            augmentation=AUGMENTATIONS[preset.augmentation],
        )
