"""Draw one picture without an engine: for measurements and pictures of the documentation."""

from jobs.requests.request import ResolvedRequest
from worker.engine.runner import Runner
from worker.pictures.picture import Picture
from worker.sampling.sampler import NO_EXTRAS, Extras, sample


def draw(
    request: ResolvedRequest, runner: Runner, judge: str, index: int = 0, extras: Extras = NO_EXTRAS
) -> Picture:
    """Run the sampler of one picture of a request to its end, one call at a time.

    Args:
        request: what to make.
        runner: answers its calls.
        judge: id of the CLIP that scores the picture, and guides it if guidance is asked for.
        index: which picture.
        extras: what else it needs.

    Raises:
        LodestarError: a call cannot be run.
    """
    sampler = sample(request, index, judge, extras)
    call = next(sampler)
    while True:
        answer = runner.answer(call)
        try:
            call = sampler.send(answer)
        except StopIteration as end:
            picture: Picture = end.value
            return picture
