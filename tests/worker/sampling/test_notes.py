"""Notes on texts beyond their encoder's limit."""

from collections.abc import Callable

import pytest

from jobs.requests.request import ResolvedRequest
from jobs.requests.tasks import QueryTask, ScoreTask
from tests.worker.models.predicting import pocket_of
from tests.worker.running import Running
from worker.engine.plans import facts_of, refs_of
from worker.engine.tasks import run_task
from worker.engine.work import Work
from worker.events import Note
from worker.models.families.denoiser import Denoiser
from worker.models.loader import Ref
from worker.models.registry import ModelRegistry
from worker.pictures.inputs import Inputs
from worker.sampling.inputs import SamplerInputs
from worker.sampling.notes import note_cut_texts

Ask = Callable[..., ResolvedRequest]
LONG = "apple " * 100  # one token each
ENCODER = (
    "the text encoder of pocket reads 32 tokens, their start and end included; the last 70 of the 100 of"
)


@pytest.fixture
def models(trained: ModelRegistry) -> ModelRegistry:
    """The shipped ones, whose texts have the lengths of trained encoders."""
    return trained


def said(request: ResolvedRequest, models: ModelRegistry) -> list[str]:
    """The notes on a request's texts."""
    inputs = SamplerInputs(request.select.scorer if request.select else "pocket-m", text_clip="pocket-s")
    facts = facts_of(models, refs_of(request, inputs))
    return [note.sentence for note in note_cut_texts(request, facts, inputs) if isinstance(note, Note)]


def test_texts_that_are_read_whole_are_not_spoken_of(ask: Ask, models: ModelRegistry) -> None:
    assert said(ask(prompt="apple " * 30, negative_prompt="blurry", guidance={}), models) == []


def test_each_reader_of_a_text_that_is_cut_says_how_much_it_left_out(ask: Ask, models: ModelRegistry) -> None:
    clip = "reads 32 tokens, their start and end included; the last 70 of the 100 of"
    assert said(ask(prompt=LONG), models) == [f"{ENCODER} the prompt were left out"]
    assert said(ask(negative_prompt=LONG), models) == [f"{ENCODER} the negative prompt were left out"]
    assert said(ask(negative_prompt=LONG, cfg_scale=1), models) == []
    guided = ask(prompt=LONG, guidance={"clip": "pocket-m"})
    assert said(guided, models)[1:] == [f"the CLIP pocket-m {clip} the prompt were left out"]
    objectives = [
        {"type": "text", "text": "a fox"},
        {"type": "text", "text": LONG, "clip": "pocket-s"},
        {"type": "tv"},
    ]
    assert said(ask(guidance={"objectives": objectives}), models) == [
        f"the CLIP pocket-s {clip} the text of objective 1 were left out"
    ]
    assert said(ask(guidance={"objectives": objectives, "scale": 0}), models) == []
    chosen = said(ask(prompt=LONG, select={"candidates": 4, "scorer": "pocket-eval"}), models)
    assert chosen[1:] == [f"the CLIP pocket-eval {clip} the prompt were left out"]


def test_a_text_to_turn_an_embedding_by_is_measured_too(ask: Ask, models: ModelRegistry) -> None:
    request = ask(prompt=LONG)
    personalization = {
        "embedding": "warm",
        "digest": "d",
        "steps": 5,
        "lr": 1e-4,
        "weight": 1.0,
        "blend": "lerp",
    }
    asked = {**personalization, "text": LONG, "text_angle": 0.1, "text_negative": False}
    personal = ResolvedRequest.model_validate({**request.model_dump(), "personalization": asked})
    assert "pocket-s" in said(personal, models)[1]
    assert said(personal, models)[1].endswith("of the text of the personalization were left out")


def test_a_task_s_text_is_measured_by_its_clip(models: ModelRegistry) -> None:
    for task in (
        ScoreTask(clip="pocket-m", prompt=LONG, pictures=("a",)),
        QueryTask(clip="pocket-m", text=LONG),
    ):
        note = next(run_task(task, Inputs(), facts_of(models, (Ref("clip", "pocket-m"),))))
        assert isinstance(note, Note)
        assert note.sentence.startswith("the CLIP pocket-m reads 32 tokens")


def test_a_job_of_many_pictures_is_noted_once(ask: Ask, models: ModelRegistry) -> None:
    running = Running(models)
    work = Work("a", ask(prompt=LONG, steps=1, num_images=3))
    running.engine.admit(work)
    running.wait_for("a")
    running.stop()
    assert work.notes == (f"{ENCODER} the prompt were left out",)


def tokens_of(model: Denoiser, text: str) -> int:
    reading = model.facts.measure(text)
    assert reading is not None
    assert reading.room == 30
    return reading.tokens


def test_pictures_of_prompts_that_differ_beyond_the_limit_are_the_same(models: ModelRegistry) -> None:
    model = models.diffusion("pocket")
    assert tokens_of(model, "apple " * 30) == 30
    one, other = model.encode_texts([LONG + "a fox", LONG + "a house"])
    assert bool((one == other).all())


@pytest.mark.parametrize("text", ["", "a fox", "日本語 🦊", "it's  spaced\n\nand 'quoted'"])
def test_a_clip_measures_what_its_tokenizer_makes(text: str, models: ModelRegistry) -> None:
    clip, model = models.clip("pocket-m"), pocket_of(models)
    reading = clip.measure(text)
    assert reading is not None
    whole = model._encoders[0].tokenizer(text).input_ids
    assert tokens_of(model, text) == len(whole) - 2
    assert reading.limit == 32
