"""Compare how jobs changed while parts were killed with the service's promises."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from jobs.queue.attempts import MAX_ATTEMPTS
from jobs.status.job import JobStatus

RECOVERED_WITHIN_S = 20.0
MOST_TWICE = 0.02  # of the steps, where workers are taken away with a notice
TERMINAL = {status.value for status in JobStatus if status.is_terminal}


@dataclass(frozen=True)
class Sight:
    """A job's record in Redis at one moment."""

    status: str
    fence: str = ""
    settled_by: str = ""
    images: str = ""
    error: str = ""


@dataclass
class Story:
    """An accepted job, and how it was seen to change."""

    sights: list[Sight] = field(default_factory=list)
    deaths: int = 0  # of workers that held it

    def see(self, sight: Sight) -> None:
        """Note a change."""
        if not self.sights or self.sights[-1] != sight:
            self.sights.append(sight)


@dataclass
class Orphaned:
    """A running execution whose worker was killed."""

    job_id: str
    fence: str
    killed_at: float
    recovered_after_s: float | None = None


@dataclass
class Verdict:
    """The result of the run.

    Attributes:
        accepted: jobs.
        succeeded: of them.
        kills: by part.
        recoveries_s: seconds until a job of a killed worker waited again.
        violations: of the promises.
        steps_done: sampling steps, if they were counted.
        steps_needed: by the jobs, if each step is done once.
    """

    accepted: int
    succeeded: int
    kills: dict[str, int]
    recoveries_s: list[float]
    violations: list[str]
    steps_done: int = 0
    steps_needed: int = 0

    def count_steps(self, done: int, needed: int) -> None:
        """Note the sampling steps, and whether too many were done twice."""
        self.steps_done, self.steps_needed = done, needed
        if self.twice >= MOST_TWICE:
            self.violations.append(f"{100 * self.twice:.1f} % of the steps were done twice")

    @property
    def twice(self) -> float:
        """Share of the needed steps that were done twice."""
        return self.steps_done / self.steps_needed - 1 if self.steps_needed else 0.0


def verdict_on(stories: dict[str, Story], orphaned: list[Orphaned], kills: dict[str, int]) -> Verdict:
    """Compare the stories with the promises."""
    violations = [fault for job_id, story in stories.items() for fault in _faults(job_id, story)]
    for each in orphaned:
        if each.recovered_after_s is None:
            violations.append(f"{each.job_id}: never recovered after its worker's death")
        elif each.recovered_after_s > RECOVERED_WITHIN_S:
            violations.append(f"{each.job_id}: recovered only after {each.recovered_after_s:.1f} s")
    return Verdict(
        accepted=len(stories),
        succeeded=sum(last_of(story).status == JobStatus.SUCCEEDED for story in stories.values()),
        kills=kills,
        recoveries_s=[each.recovered_after_s for each in orphaned if each.recovered_after_s is not None],
        violations=violations,
    )


def _faults(job_id: str, story: Story) -> Iterator[str]:
    last = last_of(story)
    if (
        last.status == JobStatus.FAILED
        and story.deaths >= MAX_ATTEMPTS
        and "attempts_exhausted" in last.error
    ):
        return  # as promised: this many of its workers were killed
    if last.status != JobStatus.SUCCEEDED:
        yield f"{job_id}: lost, it is {last.status} {last.error}".rstrip()
    published = {sight.images for sight in story.sights if sight.images}
    if len(published) > 1 or len({sight.settled_by for sight in story.sights if sight.settled_by}) > 1:
        yield f"{job_id}: published twice"
    ends = [sight for sight in story.sights if sight.status in TERMINAL]
    if ends and story.sights[story.sights.index(ends[0]) :] != ends:
        yield f"{job_id}: went on after its end"
    for sight in ends:
        if sight.images and any(
            not image["key"].startswith(f"{job_id}/{sight.fence}/") for image in json.loads(sight.images)
        ):
            yield f"{job_id}: shows the picture of an execution that was given up"


def last_of(story: Story) -> Sight:
    """The latest of what was seen."""
    return story.sights[-1] if story.sights else Sight("unknown")
