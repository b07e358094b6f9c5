"""A small web application on top of a service: ``python examples/gradio_app.py``.

It draws a prompt without guidance and with it, at one seed, and shows the job's progress. Needs ``pip install gradio
'./lodestar[pictures]'``. The service is the one at ``LODESTAR_URL``, else this machine's.
"""

import secrets

import gradio as gr
from PIL import Image

from lodestar import Client, ClientError

PRESETS = ["fast", "laion", "diffusers", "SLOW"]


def draw(
    client: Client, prompt: str, preset: str, seed: float | None, progress: gr.Progress
) -> tuple[Image.Image, Image.Image, int]:
    """Both pictures, and the seed that they share.

    Raises:
        gr.Error: the service's reason, which the page shows.
    """
    chosen = secrets.randbelow(2**31) if seed is None else int(seed)
    try:
        plain = client.generate(prompt, seed=chosen, progress=False)
        guided = client.generate(prompt, seed=chosen, guidance=preset, progress=False)
        for event in client.jobs.events(guided.jobs[0].id):
            if event.name == "progress":
                progress((event.data["step"], event.data["steps"]), unit="steps")
        return plain.pictures()[0].image, guided.pictures()[0].image, chosen
    except ClientError as error:
        raise gr.Error(str(error)) from error


def application(client: Client) -> gr.Blocks:
    """The page."""

    def on_click(
        prompt: str,
        preset: str,
        seed: float | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 -- so Gradio knows that it is to pass one
    ) -> tuple[Image.Image, Image.Image, int]:
        return draw(client, prompt, preset, seed, progress)

    with gr.Blocks(title="Lodestar", analytics_enabled=False) as page:
        gr.Markdown("# One prompt, without guidance and with it")
        prompt = gr.Textbox(label="Prompt", value="noto red apple")
        with gr.Row():
            preset = gr.Dropdown(PRESETS, value=PRESETS[0], label="Preset")
            seed = gr.Number(label="Seed; random if empty", value=None, precision=0)
        button = gr.Button("Draw", variant="primary")
        with gr.Row():
            plain = gr.Image(label="Without guidance")
            guided = gr.Image(label="CLIP-guided")
        used = gr.Number(label="Seed of both", interactive=False)
        button.click(on_click, [prompt, preset, seed], [plain, guided, used])
    return page


if __name__ == "__main__":
    application(Client()).launch(server_name="127.0.0.1")
