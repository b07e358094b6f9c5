"""The folders of training, and its use of the machine."""

import os
from pathlib import Path

import torch

COMPILED_FROM = 200  # steps of a stage: compiling a network takes as long as some hundred of them


def work_folder() -> Path:
    """The folder for data and checkpoints: ``POCKET_WORK``, else ``~/.cache/lodestar-training``."""
    folder = Path(os.environ.get("POCKET_WORK", Path.home() / ".cache" / "lodestar-training"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def models_folder() -> Path:
    """The repository's ``models/``, where every stage exports its result."""
    return Path(__file__).parent.parent / "models"


def autocast_dtype() -> torch.dtype:
    """bf16 where the processor multiplies it in hardware (AMX, AVX512-BF16), fp32 elsewhere.

    On a processor that only emulates bf16 it is several times slower than fp32.
    """
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return torch.bfloat16 if "amx_bf16" in flags or "avx512_bf16" in flags else torch.float32
