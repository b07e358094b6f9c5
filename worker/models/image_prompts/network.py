"""The networks of an IP-Adapter's file, and what such a file must hold."""

import re
from collections.abc import Collection, Mapping, Sequence

from torch import Tensor, nn

from jobs.errors import ModelUnavailableError
from worker.models.image_prompts.projections import HEAD_WIDTH, WIDENING, Projection, Resampler

PROJECTION, ATTENTIONS = "image_proj.", "ip_adapter."
FEW = 3  # keys that a refusal names
_ATTENTION = re.compile(rf"{re.escape(ATTENTIONS)}(\d+)\.to_[kv]_ip\.weight")
_LAYER = re.compile(rf"{re.escape(PROJECTION)}layers\.(\d+)\..+")
# Kinds that are told of pictures in other ways, by what one of their keys begins with.
_OTHERS = {
    f"{PROJECTION}perceiver_resampler.": "IP-Adapter FaceID Plus, which needs a network that recognises faces",
    f"{PROJECTION}proj.3.": "IP-Adapter Full Face",
    f"{PROJECTION}norm.weight|{PROJECTION}proj.0.": "IP-Adapter FaceID, which needs a network that recognises faces",
}

Shapes = Mapping[str, Sequence[int]]


class Attention(nn.Module):
    """The keys and values of one cross-attention, for tokens of pictures."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.to_k_ip = nn.Linear(width, inner, bias=False)
        self.to_v_ip = nn.Linear(width, inner, bias=False)


class IPAdapter(nn.Module):
    """All of a file, by its own names.

    A file has ``image_proj.*`` and ``ip_adapter.N.to_k_ip.weight``, ``ip_adapter.N.to_v_ip.weight``, both [inner, D].
    N counts 1, 3, 5, ... over the UNet's cross-attentions in the order of diffusers' ``attn_processors``: those of
    ``down_blocks``, then ``up_blocks``, then ``mid_block``. D is the UNet's ``cross_attention_dim``, ``inner`` the
    width of the attention's queries. A UNet that projects the states of texts first (``encoder_hid_dim``) reads the
    tokens of pictures without that.

    The base kind has ``image_proj.proj.weight`` [T D, E], ``.proj.bias`` [T D], ``.norm.weight`` [D] and
    ``.norm.bias`` [D]: the T tokens of a picture are LayerNorm(reshape(W z + b)). z is its embedding by the encoder, of
    E numbers, projected and not normalised: ``image_embeds`` of a CLIPVisionModelWithProjection, ``encode_image`` of an
    OpenCLIP. T is 4 in all that are published, and follows from the shapes here. Without a picture z is 0.

    Plus has a resampler instead, of ``image_proj.latents`` [1, T, H], ``proj_in``, ``proj_out``, ``norm_out`` and
    ``layers``. It reads the encoder's states before its last layer, [L, E]; without a picture, those of pixels that are
    0 after the encoder's normalisation.

    Attributes:
        image_proj: from encodings to tokens.
        ip_adapter: keys and values by N.
    """

    def __init__(self, image_proj: Projection | Resampler, attentions: Mapping[str, Attention]) -> None:
        super().__init__()
        self.image_proj = image_proj
        self.ip_adapter = nn.ModuleDict(attentions)

    @property
    def attentions(self) -> tuple[Attention, ...]:
        """Keys and values in the order of N."""
        return tuple(self.ip_adapter.values())  # type: ignore[arg-type]  # all of one class

    @property
    def tokens(self) -> int:
        """T, tokens of a picture."""
        return self.image_proj.tokens

    @property
    def reads_states(self) -> bool:
        """Whether it reads the states of a picture's patches, as Plus does; otherwise the picture's embedding."""
        return isinstance(self.image_proj, Resampler)


def network_of(tensors: Mapping[str, Tensor]) -> IPAdapter:
    """The network whose weights a file has, by their names and shapes.

    Args:
        tensors: of the file, on the meta device.

    Raises:
        ModelUnavailableError: it is no IP-Adapter, or of a kind that is not served.
    """
    _require_served(tensors)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    numbers = sorted({int(found[1]) for name in shapes if (found := _ATTENTION.fullmatch(name))})
    if numbers != list(range(1, 2 * len(numbers), 2)) or not numbers:
        raise ModelUnavailableError(
            f"its attentions are numbered {', '.join(map(str, numbers[:FEW])) or 'not at all'}, not 1, 3, 5 and so on"
        )
    attentions = {}
    for number in numbers:
        inner, width = _sizes(shapes, f"{ATTENTIONS}{number}.to_k_ip.weight", 2)
        attentions[str(number)] = Attention(width, inner)
    return IPAdapter(_projection(shapes, width), attentions)


def _projection(shapes: Shapes, width: int) -> Projection | Resampler:
    """The projection to tokens of ``width`` numbers."""
    if f"{PROJECTION}proj.weight" in shapes:
        outputs, features = _sizes(shapes, f"{PROJECTION}proj.weight", 2)
        if outputs % width:
            raise ModelUnavailableError(
                f"image_proj.proj makes {outputs} numbers, which are no whole tokens of the {width} that its "
                "attentions read"
            )
        return Projection(features, outputs // width, width)
    _, tokens, inner = _sizes(shapes, f"{PROJECTION}latents", 3)
    _, states = _sizes(shapes, f"{PROJECTION}proj_in.weight", 2)
    attended, _ = _sizes(shapes, f"{PROJECTION}layers.0.0.to_q.weight", 2)
    fed, _ = _sizes(shapes, f"{PROJECTION}layers.0.1.1.weight", 2)
    if attended % HEAD_WIDTH or fed != WIDENING * inner:
        raise ModelUnavailableError(
            f"its resampler has attentions of {attended} numbers and layers of {fed}; published ones have heads of "
            f"{HEAD_WIDTH}, and layers of {WIDENING} times the width"
        )
    depth = 1 + max(int(found[1]) for name in shapes if (found := _LAYER.fullmatch(name)))
    return Resampler(states, tokens, width, inner=inner, heads=attended // HEAD_WIDTH, depth=depth)


def _sizes(shapes: Shapes, name: str, dimensions: int) -> Sequence[int]:
    found = shapes.get(name)
    if found is None or len(found) != dimensions:
        what = "it has none" if found is None else f"its shape is {list(found)}"
        raise ModelUnavailableError(f"an IP-Adapter has {name} of {dimensions} dimensions, and {what}")
    return found


def _require_served(names: Collection[str]) -> None:
    """Refuse a file of another kind by its keys."""
    for beginnings, kind in _OTHERS.items():
        if all(any(name.startswith(each) for name in names) for each in beginnings.split("|")):
            raise ModelUnavailableError(f"it is {kind}; served are the base kind and Plus")
    if any("_lora." in name for name in names):
        raise ModelUnavailableError("it changes the model by a LoRA too, as FaceID does, which is not served")
    odd = [name for name in names if not name.startswith((PROJECTION, ATTENTIONS))]
    if odd or not any(name.startswith(ATTENTIONS) for name in names):
        what = f"it has {', '.join(odd[:FEW])}" if odd else f"it has no {ATTENTIONS}*"
        raise ModelUnavailableError(f"it is not an IP-Adapter: {what}")
