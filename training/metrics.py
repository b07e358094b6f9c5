"""Distances between sets of pictures, and retrieval, over embeddings of any network."""

import torch
from torch import Tensor


def frechet_distance(real: Tensor, made: Tensor) -> float:
    """Frechet distance of two Gaussians fitted to embeddings (Heusel 2017, eq. 6).

    Args:
        real: [N, D].
        made: [M, D].
    """
    real, made = real.double(), made.double()
    mean = (real.mean(0) - made.mean(0)).square().sum()
    cov_real, cov_made = torch.cov(real.T), torch.cov(made.T)
    # The trace of the root of a product is the sum of the roots of its eigenvalues.
    roots = torch.linalg.eigvals(cov_real @ cov_made).real.clamp(min=0).sqrt().sum()
    return float(mean + cov_real.trace() + cov_made.trace() - 2 * roots)


def kernel_distance(real: Tensor, made: Tensor) -> float:
    """Kernel distance: the unbiased squared MMD under the kernel (x.y / D + 1)^3 (Binkowski 2018, eq. 4).

    Args:
        real: [N, D].
        made: [M, D].
    """
    real, made = real.double(), made.double()

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def within(x: Tensor) -> Tensor:
        k = kernel(x, x)
        return (k.sum() - k.trace()) / (len(x) * (len(x) - 1))

    return float(within(real) + within(made) - 2 * kernel(real, made).mean())


def precision_and_recall(real: Tensor, made: Tensor, k: int = 3) -> tuple[float, float]:
    """Improved precision and recall (Kynkaanniemi 2019, eq. 1 and 2).

    Precision is the share of made pictures inside the manifold of the real ones, that is nearer to some real one than
    that one's k-th neighbour; recall is the same with the roles exchanged.

    Args:
        real: [N, D].
        made: [M, D].
        k: neighbours that span the manifold.
    """

    def inside(points: Tensor, manifold: Tensor) -> float:
        # The nearest neighbour of a point is itself, at k = 0.
        radii = torch.cdist(manifold, manifold).kthvalue(k + 1, dim=1).values
        return float((torch.cdist(points, manifold) <= radii).any(dim=1).float().mean())

    return inside(made, real), inside(real, made)


def retrieval(queries: Tensor, pool: Tensor, answers: Tensor, top: int) -> float:
    """Share of queries whose answer is among their ``top`` nearest in the pool.

    Args:
        queries: unit vectors [N, D].
        pool: unit vectors [P, D].
        answers: the index of each query's answer in the pool [N].
        top: how many nearest count.
    """
    nearest = (queries @ pool.T).topk(top, dim=1).indices
    return float((nearest == answers[:, None]).any(dim=1).float().mean())
