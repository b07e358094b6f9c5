"""Generates the pictures of many requests in one engine, without a queue: for measurements and the documentation."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future

from jobs.errors import LodestarError
from jobs.requests.request import ResolvedRequest
from worker.engine.engine import Engine
from worker.engine.runner import Runner
from worker.engine.work import Failed, Finished, Outcome, Work
from worker.pictures.picture import Picture


def generate_all(
    requests: Iterable[ResolvedRequest], runner: Runner, at_a_time: int = 16
) -> Iterator[list[Picture]]:
    """The pictures of each request, in order, while up to ``at_a_time`` requests share the engine's batches.

    Raises:
        LodestarError: a request failed.
    """
    answers: dict[str, Future[Outcome]] = {}
    engine = Engine(
        runner,
        lambda work, outcome: answers[work.id].set_result(outcome),
        on_picture=lambda _work, picture: picture.on_cpu(),
    )
    thread = threading.Thread(target=engine.serve, name="engine", daemon=True)
    thread.start()
    ahead: deque[Future[Outcome]] = deque()
    try:
        for number, request in enumerate(requests):
            answer: Future[Outcome] = Future()
            answers[str(number)] = answer
            ahead.append(answer)
            engine.admit(Work(str(number), request))
            if len(ahead) == at_a_time:
                yield _pictures(ahead.popleft())
        while ahead:
            yield _pictures(ahead.popleft())
    finally:
        engine.close()
        thread.join()


def _pictures(answer: Future[Outcome]) -> list[Picture]:
    outcome = answer.result()
    if isinstance(outcome, Finished):
        return list(outcome.pictures)
    raise outcome.error if isinstance(outcome, Failed) else LodestarError("the engine was closed")
