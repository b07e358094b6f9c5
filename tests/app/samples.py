"""Files that tests send and store: pictures and aesthetic embeddings."""

import io

import numpy as np
from PIL import Image
from safetensors.numpy import save


def embedding_file(name: str, clip: str = "pocket-s", vector: tuple[float, ...] = (0, 3, 4, 0)) -> bytes:
    """An aesthetic embedding as the library keeps it."""
    metadata = {"name": name, "clip": clip, "digest": "d" * 64, "made_from": "import"}
    return save({"embedding": np.array(vector, np.float32)}, metadata=metadata)


def png(width: int = 8, height: int = 8, mode: str = "RGB", form: str = "PNG") -> bytes:
    """A black picture."""
    out = io.BytesIO()
    Image.new(mode, (width, height)).save(out, form)
    return out.getvalue()
