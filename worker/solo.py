"""Draw one picture without an engine: for measurements and pictures of the documentation."""

from jobs.request import ResolvedRequest
from worker.runner import Runner
from worker.sampler import Picture, sample


def draw(request: ResolvedRequest, runner: Runner, judge: str) -> Picture:
    """Run the sampler of a request's first picture to its end, one call at a time.

    Args:
        request: what to make.
        runner: answers its calls.
        judge: id of the CLIP that scores the picture, and guides it if guidance is asked for.

    Raises:
        LodestarError: a call cannot be run.
    """
    sampler = sample(request, 0, judge)
    call = next(sampler)
    while True:
        (answer,) = runner.run([call])
        try:
            call = sampler.send(answer)
        except StopIteration as end:
            picture: Picture = end.value
            return picture
