"""The estimated cost of a job, against the calls of its samplers."""

from collections.abc import Hashable
from typing import Any

import pytest
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.nn import functional as F

from jobs.catalog.catalog import Catalog
from jobs.errors import InvalidRequestError
from jobs.queue import order
from jobs.queue.order import calls_of, cost_of
from jobs.requests.enlarging import HiresUpscaler
from jobs.requests.personalization import ResolvedPersonalization
from jobs.requests.presets import PRESETS
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.requests.samplers import SamplerName
from jobs.resolve.request import resolve
from worker import calls, events, facts
from worker.aesthetics.embeddings import AestheticEmbedding
from worker.canvas import canvas_of
from worker.guidance.gradient import Gradient
from worker.latents import Stack, move_on
from worker.patterns import PARTS
from worker.readback import Readback
from worker.rows import TextStates
from worker.sampling.inputs import SamplerInputs
from worker.sampling.prediction import Prediction, Predictions
from worker.sampling.sampler import sample
from worker.sampling.solvers.table import SOLVERS

SCHEDULER = {
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
}
CHANNELS, FACTOR, WIDTH = 4, 8, 8
PERSONALIZATION = ResolvedPersonalization(
    embedding="warm",
    digest="d",
    steps=10,
    lr=1e-4,
    weight=1.0,
    blend="lerp",
    text=None,
    text_angle=0.0,
    text_negative=False,
)
BROUGHT = "sha256:" + 64 * "0"
FACTS = facts.Facts(
    {
        "pocket": facts.ModelFacts(
            CHANNELS,
            FACTOR,
            SCHEDULER,
            facts.RowSpec(77, 8),
            torch.device("cpu"),
            lambda text: facts.Reading(5, 75, 77),
        )
    },
    {
        clip: facts.ClipFacts(32, lambda embeddings: embeddings.sum(dim=-1), lambda text: None)
        for clip in ("pocket-s", "pocket-m", "pocket-eval")
    },
)


def inputs_of(request: ResolvedRequest) -> SamplerInputs:
    """The inputs of a picture, its scorer the one that the request or its guidance names."""
    return SamplerInputs(
        request.select.scorer if request.select else "pocket-m",
        "pocket-s",
        "pocket-s",
        {"d": AestheticEmbedding(torch.ones(WIDTH), "pocket-s", {})},
        {BROUGHT: torch.zeros(3, 8, 8, dtype=torch.uint8)},
        canvas_of(
            torch.zeros(3, request.height, request.width, dtype=torch.uint8),
            torch.full((1, request.height, request.width), 255, dtype=torch.uint8),
        ),
    )


class Counter:
    """Answers calls with random numbers of the right shapes, and adds up what they would cost."""

    def __init__(self, request: ResolvedRequest) -> None:
        self._request = request
        self.cost = 0.0
        self._rng = torch.Generator().manual_seed(0)
        self._read: set[Hashable] = set()

    @staticmethod
    def _area(height: int, width: int, factor: int = FACTOR) -> float:
        return max(1.0, factor * factor * height * width / (64 * 64))

    def _random(self, *shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=self._rng)

    def _once(self, key: Hashable, cost: float) -> None:
        """Cached work is done once for all pictures of a job."""
        if key not in self._read:
            self._read.add(key)
            self.cost += cost

    def answer(self, call: events.Yield) -> Any:
        match call:
            case calls.EncodeText():
                self._once(("encode", call.wording), order._TEXT)
                return TextStates(self._random(1, 4, WIDTH))
            case calls.EmbedText():
                self._once((call.clip, call.text), order._TEXT)
                return F.normalize(self._random(1, WIDTH), dim=-1)
            case calls.Personalize():
                self._once("fit", order._FIT * call.tuning.steps)
                return self._random(1, 4, WIDTH)
            case calls.Denoise():
                self.cost += self._area(*call.state.shape[1:]) * call.size
                move_on([call.state], Stack((call.state.x.clone(),) * len(PARTS)))
                outputs, x = self._random(call.size, *call.state.shape), call.state.x
                weights, finite = torch.full((1, call.size, 1, 1, 1), 1 / call.size), Readback(torch.ones(1))
                batch = Predictions(x, torch.ones(1), outputs, weights, finite)
                return Prediction(batch, 0, 0, call.rows)
            case calls.PullBack():
                self.cost += self._area(*call.latents.shape[2:]) * order._PULL_BACK * call.size
                return self._random(*call.latents.shape)
            case calls.Guide():
                cutouts = sum(len(terms.cutouts) for terms in call.loss.clip_terms)
                area = self._area(*call.latents.shape[2:])
                self.cost += area * (order._GRADIENT[call.decoder] + order._CUTOUT * cutouts)
                return Gradient(1.0, {}, 1e-3 * self._random(*call.latents.shape), finite=True)
            case calls.Encode():
                height, width = call.picture.shape[1:]
                self._once(call.picture.digest, self._area(height, width, 1) * order._ENCODE)
                return self._random(1, CHANNELS, height // FACTOR, width // FACTOR)
            case calls.Decode():
                height, width = call.latents.shape[2:]
                self.cost += self._area(height, width) * order._DECODE
                return self._random(3, FACTOR * height, FACTOR * width).clamp(0, 1)
            case events.Compute():
                hires = self._request.hires
                assert hires is not None
                self.cost += self._area(self._request.height, self._request.width, 1) * order._ENLARGE.get(
                    hires.upscaler, 0.0
                )
                return (255 * torch.rand(3, hires.height, hires.width, generator=self._rng)).to(torch.uint8)
            case calls.EmbedImage():
                finished = self._request.passes[-1]
                self.cost += self._area(finished.height, finished.width, 1) * order._EMBEDDING
                return self._random(1, WIDTH)
            case _:
                return None


def counted(request: ResolvedRequest) -> float:
    """The cost of all calls of the samplers of all pictures."""
    counter = Counter(request)
    for index in range(request.num_images):
        sampler, answer = sample(request, index, FACTS, inputs_of(request)), None
        while True:
            try:
                answer = counter.answer(sampler.send(answer))
            except StopIteration:
                break
    return counter.cost


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


OBJECTIVES = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {"type": st.just("text"), "text": st.sampled_from(["a fox", "a house"])},
            optional={"clip": st.sampled_from(["pocket-m", "pocket-s"]), "end": st.sampled_from([0.3, 0.7])},
        ),
        st.fixed_dictionaries({"type": st.just("image"), "image": st.just(BROUGHT)}),
        st.fixed_dictionaries({"type": st.just("aesthetic"), "clip": st.just("pocket-s")}),
        st.fixed_dictionaries({"type": st.sampled_from(["tv", "range"])}, optional={"start": st.just(0.5)}),
    ),
    min_size=1,
    max_size=5,
)
GUIDANCE = st.fixed_dictionaries(
    {"preset": st.sampled_from(sorted(PRESETS)), "patience": st.just(0)},
    optional={
        "objectives": OBJECTIVES,
        "scale": st.sampled_from([0.0, 0.1]),
        "cutouts": st.integers(1, 24),
        "overview_cuts": st.sampled_from(["4", "[12]*400+[0]*600"]),
        "inner_cuts": st.sampled_from(["0", "2", "[0]*300+[8]*700"]),
        "start": st.sampled_from([0.0, 0.2, 0.5]),
        "end": st.sampled_from([0.6, 1.0]),
        "last_step": st.booleans(),
        "stride": st.integers(1, 4),
        "recurrences": st.integers(1, 4),
        "iterations": st.integers(1, 4),
        "rho": st.sampled_from([0.0, 0.25]),
        "mu": st.sampled_from([0.0, 1.0]),
        "smoothing": st.sampled_from([0.0, 0.1]),
        "smoothing_samples": st.integers(1, 6),
        "decoder": st.sampled_from(["vae", "linear"]),
    },
)
REQUESTS = st.fixed_dictionaries(
    {
        "prompt": st.just("a red apple"),
        "seed": st.just(1),
        "steps": st.integers(1, 24),
        "sampler": st.sampled_from(list(SamplerName)),
        "cfg_scale": st.sampled_from([0.0, 1.0, 4.0]),
        "width": st.sampled_from([64, 128]),
        "guidance": maybe(GUIDANCE),
    },
    optional={
        "num_images": st.integers(1, 3),
        "init": st.fixed_dictionaries(
            {"image": st.just(BROUGHT), "strength": st.sampled_from([0.3, 0.6, 0.9, 1.0])},
            optional={"exact_steps": st.booleans()},
        ),
        "mask": st.just({"image": BROUGHT}),
        "hires": st.fixed_dictionaries(
            {"scale": st.sampled_from([1.5, 2]), "strength": st.sampled_from([0.3, 0.7])},
            optional={"steps": st.integers(1, 30), "upscaler": st.sampled_from(list(HiresUpscaler))},
        ),
        "preview_every_steps": st.integers(1, 10),
        "select": st.just({"candidates": 3, "scorer": "pocket-eval"}),
    },
)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(fields=REQUESTS, personal=st.booleans())
def test_a_job_s_cost_is_what_its_calls_cost_together(
    fields: dict[str, Any], personal: bool, pocket_catalog: Catalog
) -> None:
    try:
        request = resolve(GenerateRequest.model_validate(fields), pocket_catalog)
    except (InvalidRequestError, ValidationError):
        reject()
    request = request.model_copy(update={"personalization": PERSONALIZATION if personal else None})
    assert cost_of(request) == pytest.approx(counted(request), rel=1 / 3, abs=1)


@pytest.mark.parametrize("sampler", SamplerName)
@pytest.mark.parametrize("steps", [1, 2, 3, 25])
def test_a_sampler_asks_the_denoiser_as_often_as_it_is_charged_for(sampler: SamplerName, steps: int) -> None:
    planned = SOLVERS[sampler](SCHEDULER, steps).steps
    assert [len(step.timesteps) for step in planned] == calls_of(sampler, steps)
