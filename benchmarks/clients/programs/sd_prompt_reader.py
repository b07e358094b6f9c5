"""``sd-prompt-reader``, which shows the request in a picture."""

from pathlib import Path

from sd_prompt_reader.image_data_reader import ImageDataReader

from benchmarks.clients.programs.calls import call
from benchmarks.clients.programs.drawn import REQUEST, draw


@call("reads sampler, steps, seed, CFG scale, model, size and both prompts")
def read() -> None:
    Path("drawn.png").write_bytes(draw())
    found = ImageDataReader("drawn.png")
    assert found.tool == "A1111 webUI"
    assert (found.positive, found.negative) == (REQUEST["prompt"], REQUEST["negative_prompt"])
    wanted = {
        "model": "pocket",
        "sampler": "DPM++ 2M",
        "seed": "7",
        "cfg": "5.5",
        "steps": "4",
        "size": "64x64",
    }
    assert found.parameter == wanted, found.parameter
