"""The clients that are run, each with its program and its environment.

The packages of an environment are pinned in ``environments/NAME.txt`` and ``javascript/package-lock.json``;
``python -m benchmarks.clients --lock`` resolves them again from ``environments/NAME.in`` and ``package.json``.
"""

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
JAVASCRIPT = HERE / "javascript"
TYPESCRIPT = HERE / "typescript"
REPLAYS = HERE / "replays"


@dataclass(frozen=True)
class Python:
    """A program in Python.

    Attributes:
        program: module in ``programs``.
        environment: file in ``environments``, without its suffix; None for a program that needs no package.
        package: whose version the table shows.
    """

    program: str
    environment: str | None = None
    package: str = ""


@dataclass(frozen=True)
class JavaScript:
    """A program in JavaScript, or in TypeScript that is compiled first.

    Attributes:
        program: file in ``javascript``.
        package: whose version the table shows.
    """

    program: str
    package: str


@dataclass(frozen=True)
class Replay:
    """The requests of an application that is no library, as data.

    Attributes:
        file: in ``replays``.
    """

    file: str


Client = Python | JavaScript | Replay

CLIENTS: dict[str, Client] = {
    "openai (Python)": Python("openai", "openai", "openai"),
    "openai (JavaScript)": JavaScript("openai.mjs", "openai"),
    "litellm": Python("litellm", "litellm", "litellm"),
    "LiteLLM proxy": Python("litellm_proxy", "litellm", "litellm"),
    "LangChain (Python)": Python("langchain", "langchain", "langchain-community"),
    "LangChain (JavaScript)": JavaScript("langchain.mjs", "@langchain/openai"),
    "AI SDK, openai-compatible": JavaScript("ai_openai.mjs", "@ai-sdk/openai-compatible"),
    "AI SDK, replicate": JavaScript("ai_replicate.mjs", "@ai-sdk/replicate"),
    "together": Python("together", "together", "together"),
    "Haystack": Python("haystack", "haystack", "haystack-ai"),
    "replicate (Python)": Python("replicate", "replicate", "replicate"),
    "replicate (Python), beta": Python("replicate_beta", "replicate-beta", "replicate"),
    "replicate (JavaScript)": JavaScript("replicate.mjs", "replicate"),
    "webuiapi": Python("webuiapi", "webuiapi", "webuiapi"),
    "stable-diffusion-api (JavaScript)": JavaScript("a1111.mjs", "stable-diffusion-api"),
    "sd-parsers": Python("sd_parsers", "sd-parsers", "sd-parsers"),
    "sd-prompt-reader": Python("sd_prompt_reader", "sd-prompt-reader", "sd-prompt-reader"),
    "curl": Python("curl"),
    "SillyTavern": Replay("sillytavern.json"),
    "Open WebUI": Replay("open_webui.json"),
    "Dify": Replay("dify.json"),
    "text-generation-webui": Replay("text_generation_webui.json"),
    "LibreChat": Replay("librechat.json"),
}
