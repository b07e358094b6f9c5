"""The operator's limits of every job."""

from collections.abc import Iterator
from dataclasses import dataclass

from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError
from jobs.queue.order import cost_of
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.requests.tasks import Task

MAX_TIMEOUT_S = 86_400.0


@dataclass(frozen=True)
class Limits:
    """Limits of every job.

    Attributes:
        cost: units of work (see ``jobs.queue.order.cost_of``); None for no limit.
        timeout_s: seconds that one attempt may run.
        set_by: who limits the cost, with the verb.
    """

    cost: int | None = None
    timeout_s: float = MAX_TIMEOUT_S
    set_by: str = "this server takes"

    def within(self, cost: int, set_by: str) -> "Limits":
        """The same within a further limit of the cost."""
        return self if self.cost is not None and self.cost <= cost else Limits(cost, self.timeout_s, set_by)

    def timeout_of(self, request: GenerateRequest) -> float:
        """The timeout of a request; the default is cut to the limit.

        Raises:
            InvalidRequestError: it asks for a longer one.
        """
        if "timeout_s" not in request.model_fields_set:
            return min(request.timeout_s, self.timeout_s)
        if request.timeout_s > self.timeout_s:
            raise InvalidRequestError(
                f"an attempt may run {self.timeout_s:g} s at most on this server, not {request.timeout_s:g}",
                field="timeout_s",
            )
        return request.timeout_s

    def check_cost(self, request: ResolvedRequest, card: ModelCard) -> None:
        """Check the request's cost against the limit.

        Args:
            request: with every default filled in.
            card: of its model.

        Raises:
            InvalidRequestError: it costs more. The error names the field whose default would reduce the cost most.
        """
        if self.cost is None or (cost := cost_of(request)) <= self.cost:
            return
        costs = {field: cost_of(without) for field, without in _without_each(request, card)}
        field = min(costs, key=lambda name: costs[name])
        weighs = costs[field] < cost
        raise InvalidRequestError(
            f"the job would cost {cost} units of work, and {self.set_by} {self.cost} at most"
            + (f"; without what is asked for here it would cost {costs[field]}" if weighs else ""),
            field=field if weighs else None,
        )

    def checked(self, task: Task) -> Task:
        """A task whose cost is within the limit, with its timeout cut to the longest.

        Raises:
            InvalidRequestError: it costs more.
        """
        if self.cost is not None and (cost := cost_of(task)) > self.cost:
            raise InvalidRequestError(
                f"the job would cost {cost} units of work, and {self.set_by} {self.cost} at most",
                field="pictures" if task.num_inputs > 1 else None,
            )
        return task.model_copy(update={"timeout_s": min(task.timeout_s, self.timeout_s)})


NO_LIMITS = Limits()


def _without_each(request: ResolvedRequest, card: ModelCard) -> Iterator[tuple[str, ResolvedRequest]]:
    """The request with one field at a time at its default."""
    left_out: dict[str, dict[str, object]] = {
        "select" if request.select else "num_images": {"num_images": 1, "select": None},
        "steps": _of_steps(request, min(request.steps, card.steps)),
        "guidance": {"guidance": None},
        "hires": {"hires": None},
        "controls": {"controls": ()},
        "adapters": {"adapters": ()},
        "image_prompts": {"image_prompts": ()},
        "width" if request.width > request.height else "height": {"width": card.width, "height": card.height},
        "preview_every_steps": {"preview_every_steps": None},
        "personalization": {"personalization": None},
        "upscale": {"upscale": None},
    }
    for field, changes in left_out.items():
        yield field, request.model_copy(update=changes)


def _of_steps(request: ResolvedRequest, steps: int) -> dict[str, object]:
    return {"steps": steps, "init": request.init and request.init.of_steps(steps)}
