"""``replicate`` 2, a beta of another client of Replicate's."""

import os
from functools import partial
from pathlib import Path

import replicate
from replicate import Replicate

from benchmarks.clients.programs.calls import KEY, PROMPT, URL, call, raised, size

MODEL = "lodestar/pocket"
FEW = {"prompt": PROMPT, "num_inference_steps": 3}
client = Replicate(bearer_token=KEY, base_url=f"{URL}/v1")
os.environ |= {
    "REPLICATE_API_TOKEN": KEY,
    "REPLICATE_BASE_URL": f"{URL}/v1",
}  # for the functions of the module


@call("run")
def run() -> None:
    output = client.run(MODEL, input={**FEW, "num_outputs": 2})
    assert len(list(output)) == 2


@call("run with a file as input")
def run_file() -> None:
    with Path("table.png").open("rb") as table:
        assert len(list(client.run(MODEL, input={**FEW, "image": table}))) == 1


@call("use, which loads pictures without the token")
def use() -> None:
    paths = list(replicate.use(MODEL)(**FEW))
    assert size(Path(paths[0]).read_bytes()) == (64, 64)


@call("stream")
def stream() -> None:
    assert list(replicate.stream(MODEL, input=FEW))


@call("predictions.create, wait, get, list")
def predictions() -> None:
    prediction = client.models.predictions.create(model_owner="lodestar", model_name="pocket", input=FEW)
    done = client.predictions.wait(prediction.id)
    assert done.status == "succeeded"
    assert client.predictions.get(prediction_id=prediction.id).output == done.output
    assert prediction.id in {each.id for each in client.predictions.list()}


@call("predictions.cancel")
def cancel() -> None:
    prediction = client.models.predictions.create(
        model_owner="lodestar", model_name="pocket", input={"prompt": PROMPT, "steps": 250}
    )
    client.predictions.cancel(prediction_id=prediction.id)
    assert client.predictions.wait(prediction.id).status == "canceled"


@call("files.create, get, list, delete")
def files() -> None:
    file = client.files.create(content=Path("table.png").read_bytes(), filename="table.png", type="image/png")
    assert client.files.get(file_id=file.id).id == file.id
    assert file.id in {each.id for each in client.files.list()}
    client.files.delete(file_id=file.id)


@call("models.get, search; versions.list")
def models() -> None:
    model = client.models.get(model_owner="lodestar", model_name="pocket")
    assert model.name == "pocket"
    assert client.models.versions.list(model_owner="lodestar", model_name="pocket")


@call("models.list")
def list_models() -> None:
    assert "pocket" in {model.name for model in client.models.list()}


@call("errors: UnprocessableEntityError, AuthenticationError")
def errors() -> None:
    for token, fields, wanted in (
        (KEY, {"steps": 0}, replicate.UnprocessableEntityError),
        ("r8_stranger", {}, replicate.AuthenticationError),
    ):
        other = Replicate(bearer_token=token, base_url=f"{URL}/v1", max_retries=0)
        asked = {"model_owner": "lodestar", "model_name": "pocket", "input": {"prompt": PROMPT, **fields}}
        raised(wanted, partial(other.models.predictions.create, **asked))
