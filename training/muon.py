"""Muon beside AdamW: an optimizer that reached AdamW's losses on the models here in a fraction of its steps."""

import torch
from torch import Tensor, distributed, nn

# Coefficients of the quintic iteration.
QUINTIC = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
MOMENTUM = 0.95
# An orthogonalised update scaled by this and by the root of its longer side is as large as one of AdamW.
RMS_OF_ADAMW = 0.2
# How much faster than AdamW's vectors the matrices learn.
GAIN = 3.0
OUTER_LAYERS = ("conv_in.", "conv_out.", "quant_conv.")


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised: for the weights of hidden layers, each taken as a matrix [out, all the rest].

    Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) with Nesterov momentum, decoupled weight decay
    and the scaling of Liu et al. 2025 (arXiv:2502.16982, eq. 4), so that learning rates are of AdamW's size.
    """

    def __init__(self, parameters: list[nn.Parameter], *, lr: float, weight_decay: float) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient.

        Data-parallel processes, whose gradients are equal, each compute a share of the updates and add them up.
        """
        assert closure is None
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            for parameter, update in zip(parameters, self._updates(parameters), strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.sub_(update, alpha=group["lr"])

    def _updates(self, parameters: list[nn.Parameter]) -> list[Tensor]:
        """The update to subtract from each parameter, in its shape."""
        shared = distributed.is_initialized()
        processes, rank = (distributed.get_world_size(), distributed.get_rank()) if shared else (1, 0)
        # Taking turns in the order of their sizes shares the work evenly.
        by_size = sorted(range(len(parameters)), key=lambda index: parameters[index].numel())
        mine = set(by_size[rank::processes])
        updates = [
            self._update(parameter, compute=index in mine) for index, parameter in enumerate(parameters)
        ]
        flat = torch.cat([update.flatten() for update in updates])
        if shared:
            distributed.all_reduce(flat)
        pieces = flat.split([parameter.numel() for parameter in parameters])
        return [piece.view(parameter.shape) for piece, parameter in zip(pieces, parameters, strict=True)]

    def _update(self, parameter: nn.Parameter, *, compute: bool) -> Tensor:
        """Every process keeps all momenta, so that any of them can save a checkpoint."""
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum = state["momentum"].mul_(MOMENTUM).add_(parameter.grad)
        if not compute:
            return torch.zeros_like(parameter)
        matrix = (parameter.grad + MOMENTUM * momentum).flatten(1)
        update: Tensor = orthogonalized(matrix) * (RMS_OF_ADAMW * max(matrix.shape) ** 0.5)
        return update


@torch.no_grad()
def orthogonalized(matrix: Tensor) -> Tensor:
    """Bring the singular values of a matrix near 1 and keep its singular vectors, by Newton-Schulz iteration.

    Every factor of the iteration is a polynomial of the first Gram matrix, so it runs on Gram matrices alone, which are
    small where a matrix is wide: a third of the work for the convolutions here. In fp32: the bf16 that PyTorch's own
    Muon computes in is emulated, and slow, on most CPUs.

    Args:
        matrix: [m, n].
    """
    a, b, c = QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix) / (matrix.norm() + 1e-7)
    gram = x @ x.T
    identity = product = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    for iteration in range(ITERATIONS):
        factor = a * identity + b * gram + c * gram @ gram
        product = factor @ product
        if iteration < ITERATIONS - 1:
            gram = factor @ gram @ factor
    found: Tensor = product @ x
    return found.T if tall else found


def hidden_matrices(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that Muon is for: no vectors, no embeddings, not the first and the last layer."""
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    return [
        parameter
        for name, parameter in model.named_parameters()
        if parameter.ndim >= 2
        and parameter.requires_grad
        and id(parameter) not in embeddings
        and not any(layer in name for layer in OUTER_LAYERS)
    ]
