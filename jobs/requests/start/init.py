"""Image-to-image: a run that starts from a picture with noise on it (Meng et al. 2022, SDEdit, arXiv 2108.01073)."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from jobs.requests.pictures import Picture
from jobs.requests.start.plan import MIN_STRENGTH, StepPlan, plan_from_picture
from jobs.wire import Wire, same_field


class Fit(StrEnum):
    """How a picture is brought to another shape."""

    CROP = "crop"
    STRETCH = "stretch"
    PAD = "pad"


class ResolvedInit(Wire):
    """The picture that a run starts from, with every default filled in."""

    image: Picture = Field(description=f"The picture to start from. {Picture.forms}")
    strength: float = Field(
        description="How far the result may be from the picture: the share of the noise schedule that is run. At 1 "
        "the run starts from pure noise, and nothing remains of the picture. Left out, it is at least what `steps` "
        "need.",
        examples=[0.6],
    )
    exact_steps: bool = Field(
        description="Run `steps` steps whatever `strength` is, of a longer schedule. Otherwise `steps` are planned, "
        "and int(`steps` x `strength`) of them run."
    )
    fit: Fit = Field(
        description="How the picture is brought to `width` and `height`: `crop` cuts off what is too wide or too high, "
        "`stretch` changes its proportions, `pad` repeats its outermost pixels.",
    )
    steps_planned: int = Field(description="Steps of the whole noise schedule.")
    steps_run: int = Field(description="Steps that are run, the last ones of the schedule.")

    @property
    def plan(self) -> StepPlan:
        """Its steps."""
        return StepPlan(self.steps_planned, self.steps_planned - self.steps_run)

    def of_steps(self, steps: int) -> "ResolvedInit":
        """The same in a request of so many steps."""
        plan = plan_from_picture(steps, self.strength, exact=self.exact_steps)
        return self.model_copy(update={"steps_planned": plan.planned, "steps_run": plan.run})

    @property
    def starts_from_noise(self) -> bool:
        """Whether the run starts from pure noise, as one without a picture does."""
        return self.strength >= 1


class Init(Wire):
    """Start from a picture instead of pure noise (SDEdit, Meng et al. 2022)."""

    answered = ResolvedInit
    image: Picture = same_field(ResolvedInit, "image", ...)
    strength: Annotated[float, Field(ge=MIN_STRENGTH, le=1)] = same_field(ResolvedInit, "strength", 0.8)
    exact_steps: bool = same_field(ResolvedInit, "exact_steps", False)
    fit: Fit = same_field(ResolvedInit, "fit", Fit.CROP)
