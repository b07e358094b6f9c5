"""The list of models."""

from starlette.testclient import TestClient

from jobs.requests.presets import PRESETS


def test_models_are_listed_as_openai_lists_them_with_the_default_first(client: TestClient) -> None:
    models = client.get("/v1/models").json()
    assert models["object"] == "list"
    assert [(model["id"], model["object"]) for model in models["data"]] == [
        ("pocket", "model"),
        ("big", "model"),
    ]
    for model in models["data"]:
        assert isinstance(model["created"], int)
        assert isinstance(model["owned_by"], str)


def test_a_model_says_what_it_can_make(client: TestClient) -> None:
    pocket = client.get("/v1/models").json()["data"][0]
    assert pocket["sizes"] == {"min_px": 48, "max_px": 128, "multiple_px": 16}
    assert pocket["defaults"] == {
        "width": 64,
        "height": 64,
        "steps": 25,
        "cfg_scale": 4.0,
        "image_cfg_scale": None,
        "guidance_rescale": 0.0,
        "clip_skip": 0,
        "sampler": "ddim",
        "schedule": "default",
        "clip": "pocket-m",
        "preset": "fast",
    }
    assert pocket["clips"] == ["pocket-m", "pocket-s"]
    assert "euler" in pocket["samplers"]
    assert list(pocket["schedules"]) == pocket["samplers"]
    assert (pocket["schedules"]["ddim"], "karras" in pocket["schedules"]["euler"]) == (["default"], True)
    presets = {preset["id"]: preset for preset in pocket["guidance_presets"]}
    assert list(presets) == list(PRESETS)
    assert presets["diffusers"]["target"] == "noisy"
    assert (presets["fast"]["cost"], presets["laion"]["cost"], presets["NONE"]["cost"]) == (1.3, 7.5, None)


def test_a_preset_says_what_it_fills_in(client: TestClient) -> None:
    presets = client.get("/v1/models").json()["data"][0]["guidance_presets"]
    for preset in presets:
        request = {"prompt": "a fox", "cfg_scale": 4, "guidance": {"preset": preset["id"]}}
        queued = client.post("/v1/jobs", json=request)
        resolved = queued.json()["request"]["guidance"]
        assert {name: resolved[name] for name in preset["defaults"]} == preset["defaults"]
        assert resolved["objectives"][1:] == preset["regularizers"]
        client.delete(queued.json()["urls"]["self"])


def test_where_a_model_lies_on_the_disk_is_not_told(client: TestClient) -> None:
    assert "path" not in client.get("/v1/models").text


def test_adapters_are_listed_without_their_files(client: TestClient) -> None:
    assert client.get("/v1/adapters").json() == {"data": []}


def test_image_prompt_adapters_are_listed_without_their_files(client: TestClient) -> None:
    assert client.get("/v1/image-prompts").json() == {"data": []}


def test_textual_inversions_are_listed_without_their_files(client: TestClient) -> None:
    assert client.get("/v1/textual-inversions").json() == {"data": []}


def test_controlnets_are_listed_with_what_makes_their_maps(client: TestClient) -> None:
    answer = client.get("/v1/controls").json()
    assert answer["data"] == []
    assert answer["preprocessors"] == [
        "none",
        "canny",
        "lineart",
        "scribble",
        "xdog",
        "tile",
        "shuffle",
        "invert",
    ]
