"""A picture is the one that its job gives alone, whatever shares its batches.

``LODESTAR_TEST_MIXES=200 pytest tests/worker/engine/test_batching.py`` tries as many random mixes; the default is a
handful.
"""

import operator
import os
from collections.abc import Callable, Generator
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import worker.engine.plans
from jobs.catalog.catalog import Catalog
from jobs.errors import InvalidRequestError
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.requests.samplers import SamplerName
from jobs.resolve.request import resolve
from tests.brought_pictures import scene
from tests.worker.running import TOLERANCE, Running, pictures
from tests.worker.sampling.starting import KEPT, MASK, canvas, canvas_with
from worker.calls import Denoise
from worker.canvas import Canvas
from worker.engine.runner import Runner
from worker.engine.solo import generate
from worker.engine.work import Failed, Work
from worker.events import Yield
from worker.facts import Facts
from worker.latents import Stack
from worker.models.clip import ClipModel
from worker.models.families.denoiser import Denoiser
from worker.models.registry import ModelRegistry
from worker.models.rows import RowBatch
from worker.pictures.inputs import Inputs
from worker.pictures.picture import Picture
from worker.sampling.inputs import SamplerInputs
from worker.sampling.sampler import sample
from worker.states.state import PictureState

Ask = Callable[..., ResolvedRequest]
MIXES = int(os.environ.get("LODESTAR_TEST_MIXES", "3"))

guidances = st.none() | st.fixed_dictionaries(
    {"scale": st.sampled_from([0.0, 0.1, 1.0]), "cutouts": st.integers(1, 9)},
    optional={"prompt": st.just("a blue fish")},
)
pictures_asked = st.fixed_dictionaries(
    {
        "prompt": st.sampled_from(["a red apple", "twemoji fox on a pink background", "x"]),
        "negative_prompt": st.sampled_from(["", "grey"]),
        "seed": st.integers(0, 2**32 - 2),  # the second picture has the next one
        "steps": st.integers(1, 8),
        "cfg_scale": st.sampled_from([1.0, 1.5, 4.0, 12.0]),
        "width": st.sampled_from([64, 64, 96]),
        "num_images": st.sampled_from([1, 1, 2]),
        "guidance": guidances,
    },
    optional={
        "hires": st.fixed_dictionaries({"scale": st.just(1.5), "steps": st.integers(1, 4)}),
        "init": st.fixed_dictionaries(
            {"image": st.just(KEPT), "strength": st.sampled_from([0.5, 0.7, 1.0])},
            optional={"exact_steps": st.just(True)},
        ),
    },
) | st.fixed_dictionaries(
    {
        "prompt": st.just("a green pear"),
        "seed": st.integers(0, 99),
        "steps": st.integers(2, 8),
        "init": st.fixed_dictionaries({"image": st.just(KEPT), "strength": st.sampled_from([0.6, 1.0])}),
        "mask": st.fixed_dictionaries(
            {"image": st.just(MASK)},
            optional={"soft": st.just(True), "fill": st.sampled_from(["blur", "noise"])},
        ),
        "guidance": guidances,
    }
)
solvers = st.fixed_dictionaries(
    {"sampler": st.sampled_from(SamplerName)}, optional={"guidance_rescale": st.sampled_from([0.4, 1.0])}
) | st.just({"sampler": SamplerName.DDIM, "eta": 0.8})
requests = st.builds(operator.or_, pictures_asked, solvers)


@settings(
    max_examples=MIXES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@pytest.mark.slow("generates random mixes of jobs twice: at once, and each alone")
@given(mix=st.lists(requests, min_size=2, max_size=4))
@pytest.mark.timeout(120 + 60 * MIXES)
def test_a_random_mix_of_jobs_gives_the_pictures_that_each_gives_alone(
    mix: list[dict[str, object]], trained: ModelRegistry, pocket_catalog: Catalog
) -> None:
    asked = [resolved for fields in mix if (resolved := _resolved(fields, pocket_catalog))]
    assert_alike(run_together(trained, asked), run_alone(trained, asked))


def _resolved(fields: dict[str, object], catalog: Catalog) -> ResolvedRequest | None:
    """A request; None if its strength runs no step, or none that is guided."""
    try:
        return resolve(GenerateRequest.model_validate(fields), catalog)
    except InvalidRequestError:
        return None


def start_of(request: ResolvedRequest) -> Canvas:
    size = request.width, request.height
    return canvas(*size) if request.mask is None else canvas_with(request, picture=scene(*size))


def run_together(models: ModelRegistry, asked: list[ResolvedRequest]) -> list[list[torch.Tensor]]:
    running = Running(models)
    for number, request in enumerate(asked):
        running.engine.admit(Work(str(number), request, Inputs(canvas=start_of(request))))
    outcomes = running.wait_for(*(str(number) for number in range(len(asked))))
    running.stop()
    return [pictures(outcome) for outcome in outcomes]


def run_alone(models: ModelRegistry, asked: list[ResolvedRequest]) -> list[list[torch.Tensor]]:
    runner = Runner(models)
    return [
        [
            generate(request, runner, SamplerInputs("pocket-m", canvas=start_of(request)), index).pixels
            for index in range(request.num_images)
        ]
        for request in asked
    ]


def assert_alike(together: list[list[torch.Tensor]], alone: list[list[torch.Tensor]]) -> None:
    for mine, solo in zip(together, alone, strict=True):
        for one, other in zip(mine, solo, strict=True):
            assert (one - other).abs().max() < TOLERANCE


def altered(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[..., Generator[Yield, Any, Picture]]:
    """A sampler that asks the UNet about changed latents, when its seed is 666."""

    def wrapped(
        request: ResolvedRequest, index: int, facts: Facts, inputs: SamplerInputs, state: PictureState | None
    ) -> Generator[Yield, Any, Picture]:
        inner = sample(request, index, facts, inputs, state)
        call = next(inner)
        while True:
            if isinstance(call, Denoise) and request.seed == 666:
                parts = call.state.stack.parts
                call.state.stack = Stack(tuple(None if part is None else change(part) for part in parts))
            answer = yield call
            try:
                call = inner.send(answer)
            except StopIteration as end:
                picture: Picture = end.value
                return picture

    return wrapped


def test_jobs_that_wait_for_alike_calls_share_one_batch(
    models: ModelRegistry, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    real = Denoiser.predict

    def counted(
        self: Denoiser, latents: torch.Tensor, timesteps: torch.Tensor, rows: RowBatch
    ) -> torch.Tensor:
        sizes.append(len(rows.context))
        return real(self, latents, timesteps, rows)

    run_together(models, [ask(steps=1)])
    monkeypatch.setattr(Denoiser, "predict", counted)
    mix = [
        ask(prompt="a fox", steps=3),
        ask(cfg_scale=1, sampler="euler", steps=3),
        ask(num_images=2, cfg_scale=9, steps=3),
    ]
    run_together(models, mix)
    assert max(sizes) == 2 + 1 + 2 * 2
    assert sum(sizes) == 3 * 7


@pytest.mark.parametrize("model", ["pocket", "pocket-inpaint"])
def test_runs_from_pictures_and_from_noise_share_one_batch_whatever_step_they_start_at(
    model: str, models: ModelRegistry, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    real = Denoiser.predict

    def counted(
        self: Denoiser, latents: torch.Tensor, timesteps: torch.Tensor, rows: RowBatch
    ) -> torch.Tensor:
        sizes.append(len(rows.context))
        return real(self, latents, timesteps, rows)

    mix = [
        ask(model=model, steps=8),
        ask(model=model, steps=8, init={"image": KEPT, "strength": 0.5}),
        ask(
            model=model, steps=8, sampler="euler", init={"image": KEPT, "strength": 0.3, "exact_steps": True}
        ),
        ask(
            model=model, steps=8, sampler="heun", init={"image": KEPT, "strength": 0.5}, mask={"image": MASK}
        ),
        ask(
            model=model,
            steps=8,
            init={"image": KEPT, "strength": 1},
            mask={"image": MASK},
            guidance={"cutouts": 2},
        ),
    ]
    alone = run_alone(models, mix)
    monkeypatch.setattr(Denoiser, "predict", counted)
    together = run_together(models, mix)
    assert max(sizes) == 10
    assert_alike(together, alone)


def test_a_second_pass_shares_batches_with_pictures_of_its_size(
    models: ModelRegistry, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[tuple[int, int]] = []
    real = Denoiser.predict

    def counted(
        self: Denoiser, latents: torch.Tensor, timesteps: torch.Tensor, rows: RowBatch
    ) -> torch.Tensor:
        batches.append((latents.shape[-1], len(rows.context)))
        return real(self, latents, timesteps, rows)

    # The other runs long: turns go by measured time, so a busy machine may give it many before the second pass.
    mix = [ask(steps=2, hires={"scale": 1.5, "steps": 3}), ask(steps=40, width=96, height=96)]
    alone = run_alone(models, mix)
    monkeypatch.setattr(Denoiser, "predict", counted)
    together = run_together(models, mix)
    assert batches.count((16, 2)) == 2
    assert batches.count((24, 4)) == 3
    assert_alike(together, alone)


def test_every_method_of_guidance_draws_in_a_batch_what_it_draws_alone(tiny: ModelRegistry, ask: Ask) -> None:
    two_clips = [{"type": "text", "text": "a fish"}, {"type": "text", "text": "a pear", "clip": "pocket-s"}]
    methods: list[dict[str, Any]] = [
        {"preset": "laion", "cutouts": 5},
        {"preset": "laion", "cutouts": 3, "objectives": two_clips},
        {"preset": "diffusers"},
        {"preset": "disco", "cutouts": 4},
        {"preset": "freedom", "recurrences": 2},
        {"preset": "tfg", "smoothing_samples": 2},
        {"preset": "fast", "start": 0.0, "decoder": "linear"},
    ]
    asked = [
        ask(seed=seed, steps=2, sampler=sampler, guidance=guidance)
        for seed, (guidance, sampler) in enumerate(zip(methods, SamplerName, strict=False))
    ]
    assert_alike(run_together(tiny, asked), run_alone(tiny, asked))


def test_latents_that_are_not_finite_end_their_own_job_alone(
    models: ModelRegistry, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbours = [ask(), ask(seed=8, guidance={"cutouts": 3})]
    alone = run_alone(models, neighbours)
    monkeypatch.setattr(worker.engine.plans, "sample", altered(lambda latents: latents * float("nan")))
    running = Running(models)
    for name, request in {"0": neighbours[0], "sick": ask(seed=666), "1": neighbours[1]}.items():
        running.engine.admit(Work(name, request))
    sick, *others = running.wait_for("sick", "0", "1")
    running.stop()
    assert isinstance(sick, Failed)
    assert sick.error.type == "job_failed"
    assert "not finite" in sick.error.message
    assert_alike([pictures(outcome) for outcome in others], alone)


def test_a_batch_that_does_not_fit_the_memory_is_split_and_the_size_remembered(
    models: ModelRegistry, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [ask(seed=seed, steps=5) for seed in range(6)]
    alone, refused = run_alone(models, asked), 0
    real = Denoiser.predict

    def tight(self: Denoiser, latents: torch.Tensor, timesteps: torch.Tensor, rows: RowBatch) -> torch.Tensor:
        nonlocal refused
        if len(rows.context) > 5:
            refused += 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, latents, timesteps, rows)

    monkeypatch.setattr(Denoiser, "predict", tight)
    assert_alike(run_together(models, asked), alone)
    assert 0 < refused <= 3


def test_a_picture_that_does_not_fit_alone_fails_and_the_worker_stays_well(
    models: ModelRegistry, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [ask(seed=1), ask(seed=2, guidance={"cutouts": 2})]
    alone, real = run_alone(models, asked), Denoiser.predict

    def tight(self: Denoiser, latents: torch.Tensor, timesteps: torch.Tensor, rows: RowBatch) -> torch.Tensor:
        if latents.shape[-1] > 16:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, latents, timesteps, rows)

    monkeypatch.setattr(Denoiser, "predict", tight)
    running = Running(models)
    running.engine.admit(Work("large", ask(width=128)))
    running.engine.admit(Work("0", asked[0]))
    large, fits = running.wait_for("large", "0")
    running.engine.admit(Work("1", asked[1]))
    (later,) = running.wait_for("1")
    running.stop()
    assert isinstance(large, Failed)
    assert large.error.type == "out_of_memory"
    assert_alike([pictures(fits), pictures(later)], alone)


def test_guidance_that_does_not_fit_embeds_fewer_cutouts_at_a_time(
    models: ModelRegistry, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [ask(seed=seed, steps=2, guidance={"cutouts": 7}) for seed in range(2)]
    alone, most, real = run_alone(models, asked), 0, ClipModel.embed

    def tight(self: ClipModel, cutouts: torch.Tensor) -> torch.Tensor:
        nonlocal most
        if len(cutouts) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        most = max(most, len(cutouts))
        return real(self, cutouts)

    monkeypatch.setattr(ClipModel, "embed", tight)
    assert_alike(run_together(models, asked), alone)
    assert most == 2


def test_a_call_that_fails_in_a_batch_fails_alone(
    models: ModelRegistry, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [ask(seed=1), ask(seed=2)]
    alone, real = run_alone(models, asked), Denoiser.predict

    def picky(self: Denoiser, latents: torch.Tensor, timesteps: torch.Tensor, rows: RowBatch) -> torch.Tensor:
        if (latents.abs().amax(dim=(1, 2, 3)) > 1e3).any():
            raise RuntimeError("unsupported value")
        return real(self, latents, timesteps, rows)

    monkeypatch.setattr(Denoiser, "predict", picky)
    monkeypatch.setattr(worker.engine.plans, "sample", altered(lambda latents: latents + 1e4))
    running = Running(models)
    for name, request in {"0": asked[0], "guilty": ask(seed=666), "1": asked[1]}.items():
        running.engine.admit(Work(name, request))
    guilty, *others = running.wait_for("guilty", "0", "1")
    running.stop()
    assert isinstance(guilty, Failed)
    assert guilty.error.message == "RuntimeError in denoise"
    assert_alike([pictures(outcome) for outcome in others], alone)
