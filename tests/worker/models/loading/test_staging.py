"""Host memory for weights: in large pages, and given back with the last tensor that lies in it."""

import sys

import pytest
import torch

from worker.models.footprint import resident_bytes
from worker.models.loading.staging import LARGE_PAGE_BYTES, in_large_pages


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64])
@pytest.mark.parametrize("rows", [0, 3, LARGE_PAGE_BYTES // 16 + 1])
def test_it_is_a_tensor_like_any_other(rows: int, dtype: torch.dtype) -> None:
    made = in_large_pages((rows, 8), dtype)
    assert (made.shape, made.dtype, made.is_contiguous()) == ((rows, 8), dtype, True)
    made.fill_(3)
    copied = torch.nn.Parameter(made.clone(), requires_grad=False)
    assert torch.equal(copied + made, torch.full((rows, 8), 6, dtype=dtype))


@pytest.mark.skipif(sys.platform != "linux", reason="counts resident memory")
def test_it_is_given_back_with_its_last_view() -> None:
    before = resident_bytes() or 0
    view = in_large_pages((2**25,), torch.uint8).fill_(1)[5:].view(-1)
    assert (resident_bytes() or 0) - before > 2**24
    assert int(view[-1]) == 1
    del view
    assert (resident_bytes() or 0) - before < 2**24
