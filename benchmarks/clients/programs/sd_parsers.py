"""``sd-parsers``, which reads the request in a picture."""

from io import BytesIO

from sd_parsers import ParserManager

from benchmarks.clients.programs.calls import call
from benchmarks.clients.programs.drawn import REQUEST, draw


@call("reads sampler, schedule, steps, seed, CFG scale, model, size and both prompts")
def parse() -> None:
    found = ParserManager().parse(BytesIO(draw()))
    assert found is not None
    (sampler,) = found.samplers
    assert (sampler.name, sampler.model.name) == ("DPM++ 2M", "pocket")
    wanted = {"scheduler": "Karras", "steps": "4", "seed": "7", "cfg_scale": "5.5"}
    assert wanted.items() <= sampler.parameters.items(), sampler.parameters
    assert [prompt.value for prompt in sampler.prompts] == [REQUEST["prompt"]]
    assert [prompt.value for prompt in sampler.negative_prompts] == [REQUEST["negative_prompt"]]
    assert found.metadata["Size"] == "64x64"
