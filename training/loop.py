"""The optimisation loop that every stage shares: Muon and AdamW, schedule, EMA, log, checkpoints and resuming."""

import csv
import os
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, distributed, nn

from training.muon import GAIN, Muon, hidden_matrices

CHECKPOINT_EVERY_S = 600
LOG_EVERY_STEPS = 20
FALL_SHARE = 0.25

# Each with its factor on the learning rate.
Optimizers = list[tuple[torch.optim.Optimizer, float]]


@dataclass(frozen=True)
class Plan:
    """The number of steps and the learning rate of a stage."""

    steps: int
    lr: float
    warmup_steps: int = 100
    weight_decay: float = 0.01
    ema_decay: float = 0.999
    clip_norm: float = 1.0

    def lr_at(self, step: int) -> float:
        """Linear warm-up, constant, then a linear fall to 2 % of ``lr`` over the last quarter of ``steps``.

        Nothing before the last quarter depends on ``steps``, so a run can be lengthened after the fact.
        """
        warmup = (step + 1) / self.warmup_steps
        fall = (self.steps - step) / (self.steps * FALL_SHARE)
        return self.lr * max(0.02, min(1.0, warmup, fall))


def train(
    name: str,
    model: nn.Module,
    losses: Callable[[int], dict[str, Tensor]],
    plan: Plan,
    work: Path,
    on_checkpoint: Callable[[nn.Module, int], None] | None = None,
) -> nn.Module:
    """Train ``model`` for ``plan.steps``, resuming from ``work/name.pt`` when it exists.

    Args:
        name: of the checkpoint (``name.pt``) and the log (``name.csv``).
        model: trained in place.
        losses: called with the step; returns the terms whose sum is minimised.
        plan: steps, learning rate, averaging.
        work: folder of checkpoints and logs.
        on_checkpoint: called with the averaged model and the step after every checkpoint, to look at its pictures.

    Returns:
        The exponential moving average of the model, in eval mode.
    """
    averaged = deepcopy(model).eval().requires_grad_(False)
    optimizers = _optimizers(model, plan)
    path = work / f"{name}.pt"
    step = _resume(path, model, averaged, optimizers) if path.exists() else 0
    started_at, saved_at = time.monotonic(), time.monotonic()
    while step < plan.steps:
        terms = losses(step)
        model.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        _average_gradients(model)
        norm = nn.utils.clip_grad_norm_(model.parameters(), plan.clip_norm)
        for optimizer, gain in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = plan.lr_at(step) * gain
            optimizer.step()
        _average(averaged, model, min(plan.ema_decay, (step + 1) / (step + 10)))
        step += 1
        if rank() != 0:
            continue
        if step % LOG_EVERY_STEPS == 0:
            _log(work / f"{name}.csv", step, time.monotonic() - started_at, norm, terms)
        if time.monotonic() - saved_at > CHECKPOINT_EVERY_S or step == plan.steps:
            _save(path, model, averaged, optimizers, step)
            if on_checkpoint is not None:
                on_checkpoint(averaged, step)
            saved_at = time.monotonic()
    return averaged


def join() -> None:
    """Compute on one thread, beside the other processes if ``torchrun`` started several."""
    torch.set_num_threads(1)
    # A trained attention is so sure that its small gradients are denormal numbers, on which a CPU is many times slower.
    torch.set_flush_denormal(True)
    if "RANK" in os.environ:
        distributed.init_process_group("gloo")


def wait_for_all() -> None:
    """Until every process that ``torchrun`` started has come here."""
    if distributed.is_initialized():
        distributed.barrier()


def rank() -> int:
    """Number of this process among those that ``torchrun`` started; 0 when it runs alone."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def _optimizers(model: nn.Module, plan: Plan) -> Optimizers:
    """Muon for the matrices of hidden layers and AdamW for the rest, each with its factor on the learning rate."""
    matrices = hidden_matrices(model)
    inner = {id(parameter) for parameter in matrices}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in inner]
    optimizers: Optimizers = []
    if matrices:
        optimizers.append((Muon(matrices, lr=plan.lr, weight_decay=plan.weight_decay), GAIN))
    if rest:
        adam = torch.optim.AdamW(rest, lr=plan.lr, weight_decay=plan.weight_decay, betas=(0.9, 0.99))
        optimizers.append((adam, 1.0))
    return optimizers


def _average_gradients(model: nn.Module) -> None:
    """Share gradients between data-parallel processes.

    Two processes of one thread each train twice as fast as one of two threads, whose small operators do not split well.
    """
    if not distributed.is_initialized():
        return
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    for gradient, averaged in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(averaged.view_as(gradient))


@torch.no_grad()
def _average(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    for slow, fast in zip(averaged.parameters(), model.parameters(), strict=True):
        slow.lerp_(fast, 1 - decay)


def _resume(path: Path, model: nn.Module, averaged: nn.Module, optimizers: Optimizers) -> int:
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    averaged.load_state_dict(state["averaged"])
    for (optimizer, _), saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return int(state["step"])


def _save(path: Path, model: nn.Module, averaged: nn.Module, optimizers: Optimizers, step: int) -> None:
    state = {
        "model": model.state_dict(),
        "averaged": averaged.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer, _ in optimizers],
        "step": step,
    }
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.rename(path)


def _log(path: Path, step: int, seconds: float, norm: Tensor, terms: dict[str, Tensor]) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["step", "seconds", "gradient_norm", *terms])
        values = (value.detach().item() for value in (norm, *terms.values()))
        writer.writerow([step, f"{seconds:.0f}", *(f"{value:.5f}" for value in values)])
