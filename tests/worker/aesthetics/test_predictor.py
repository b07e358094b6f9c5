from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from jobs.errors import InvalidFileError, ModelUnavailableError
from worker.aesthetics.embedding_files import import_vector
from worker.aesthetics.predictor import AestheticHead, load_head, parse_head

# The published heads' scores of LAION's bucket vectors and of the unit vectors of published embeddings.
BUCKETS_V1 = (-2.46, -0.14, 1.90, 3.59, 5.10, 6.47, 7.79, 9.05, 10.23, 11.30)
EMBEDDINGS = {
    "aivazovsky": (7.33, 6.78),
    "cloudcore": (6.43, 5.39),
    "fantasy": (8.08, 7.07),
    "flower_plant": (9.05, 7.23),
    "gloomcore": (6.41, 5.18),
    "glowwave": (6.88, 5.49),
    "laion_7plus": (19.2, 9.95),
    "sac_8plus": (13.8, 12.3),
}


def first_head(published: Path, name: str = "vit_l_14", width: int = 768) -> AestheticHead:
    return load_head(published / f"laion-v1/sa_0_4_{name}_linear.pth", clip=name, width=width)


def second_head(published: Path) -> AestheticHead:
    return load_head(published / "laion-v2/sac+logos+ava1-l14-linearMSE.pth", clip="vit-l-14", width=768)


def bucket(published: Path, rating: int) -> Tensor:
    file = published / f"laion-v1/vit_l_14_embeddings/rating{rating}.npy"
    return torch.from_numpy(np.load(file)).float()


@pytest.mark.parametrize(("rating", "score"), list(enumerate(BUCKETS_V1)))
def test_the_bucket_vectors_score_as_published(published: Path, rating: int, score: float) -> None:
    assert float(first_head(published)(bucket(published, rating))) == pytest.approx(score, abs=0.006)


@pytest.mark.parametrize("name", EMBEDDINGS)
def test_the_published_embeddings_score_as_published(published: Path, name: str) -> None:
    file = published / f"aesthetic-gradients/{name}.pt"
    vector, _ = import_vector(file.read_bytes(), file.name)
    unit = F.normalize(vector, dim=0)[None]
    for head, score in zip((first_head(published), second_head(published)), EMBEDDINGS[name], strict=True):
        # The table gives three digits.
        assert float(head(unit)) == pytest.approx(score, abs=0.06 if score > 9.9 else 0.006)


def test_an_embedding_that_is_not_normalised_scores_far_too_high(published: Path) -> None:
    file = published / "aesthetic-gradients/aivazovsky.pt"
    vector, _ = import_vector(file.read_bytes(), file.name)
    assert float(first_head(published)(vector[None])) > 20


def test_the_second_head_is_affine(published: Path) -> None:
    head = second_head(published)
    x = torch.zeros(1, 768, requires_grad=True)
    score = head(x)
    score.sum().backward()
    assert x.grad is not None
    assert float(score.detach()) == pytest.approx(5.2366, abs=1e-3)
    assert float(x.grad.norm()) == pytest.approx(17.996, abs=1e-3)


@pytest.mark.parametrize(("name", "width"), [("vit_b_16", 512), ("vit_b_32", 512), ("vit_l_14", 768)])
def test_every_first_head_loads(published: Path, name: str, width: int) -> None:
    assert first_head(published, name, width).width == width


def test_a_head_for_another_width_is_refused_by_both_names(published: Path) -> None:
    with pytest.raises(ModelUnavailableError, match=r"linear\.pth scores .* 768 .* pocket-s have 192"):
        load_head(published / "laion-v1/sa_0_4_vit_l_14_linear.pth", clip="pocket-s", width=192)


def our_head(width: int = 24, hidden: int = 16) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 1))


def written(folder: Path, head: nn.Module, **metadata: str) -> Path:
    file = folder / "aesthetic.safetensors"
    save_file({f"layers.{key}": value.half() for key, value in head.state_dict().items()}, file, metadata)
    return file


def test_our_head_scores_as_the_network_that_was_trained(tmp_path: Path) -> None:
    network = our_head()
    head = load_head(
        written(tmp_path, network, clip="pocket-s", activation="relu"), clip="pocket-s", width=24
    )
    x = F.normalize(torch.randn(5, 24), dim=-1)
    torch.testing.assert_close(head(x), network(x)[:, 0].detach(), atol=2e-3, rtol=0)
    assert head.clip == "pocket-s"


def test_our_head_is_refused_with_another_clip_of_the_same_width(tmp_path: Path) -> None:
    file = written(tmp_path, our_head(), clip="pocket-s", activation="relu")
    with pytest.raises(ModelUnavailableError, match="made for pocket-s, not for pocket-m"):
        load_head(file, clip="pocket-m", width=24)


def test_the_numbers_of_the_layers_tell_whether_relus_stand_between() -> None:
    def layers(numbers: tuple[int, ...]) -> dict[str, Tensor]:
        widths = (8, 6, 5, 4, 3, 1)
        made: dict[str, Tensor] = {}
        for number, (width, out) in zip(numbers, pairwise(widths), strict=True):
            made |= {
                f"layers.{number}.weight": torch.randn(out, width),
                f"layers.{number}.bias": torch.randn(out),
            }
        return made

    assert not parse_head(layers((0, 2, 4, 6, 7)), {}, name="head.pth").relu
    assert parse_head(layers((0, 3, 6, 9, 11)), {}, name="head.pth").relu
    with pytest.raises(InvalidFileError, match="name the activation"):
        parse_head(layers((0, 1, 2, 3, 4)), {}, name="head.pth")


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({}, "lacks its weight"),
        ({"bias": torch.zeros(1)}, "holds 'bias'"),
        ({"layers.0.weight": torch.zeros(1, 4)}, "lacks its weight or its bias"),
        ({"weight": torch.zeros(2, 4), "bias": torch.zeros(2)}, "ends in 2 numbers"),
        ({"weight": torch.zeros(1, 4), "bias": torch.zeros(3)}, "do not follow"),
        ({"visual.proj": torch.zeros(1, 4)}, "visual.proj"),
    ],
)
def test_other_files_are_refused(tensors: dict[str, Tensor], reason: str) -> None:
    with pytest.raises(InvalidFileError, match=reason):
        parse_head(tensors, {"activation": "relu"}, name="head.safetensors")


def test_a_head_is_differentiable_in_its_input() -> None:
    head = parse_head(
        {"weight": torch.tensor([[1.0, -2.0]]), "bias": torch.tensor([3.0])}, {}, name="head.pth"
    )
    x = torch.tensor([[1.0, 1.0]], requires_grad=True)
    head(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[1.0, -2.0]]


def test_scores_are_not_clamped() -> None:
    head = parse_head(
        {"weight": torch.tensor([[100.0, 0.0]]), "bias": torch.tensor([0.0])}, {}, name="head.pth"
    )
    assert head(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])).tolist() == [100.0, -100.0]
