"""Inverted lists of vectors in one bit a number: the index of a tenant with too many pictures to look at each.

The vectors are turned at random, and divided by k-means among lists; a query looks into the lists whose centroids are
nearest. There each number is one bit, the sign of its difference from the centroid's, with two numbers for each vector
that make an estimate of the similarity without bias: RaBitQ, Gao and Long 2024, arXiv 2405.12497. The best of these
estimates are compared as they are. Source for the number of lists:
https://github.com/facebookresearch/faiss/wiki/Guidelines-to-choose-an-index. It takes 4 to 16 times the root of the
number of vectors, and graphs over the centroids of millions. Here a query reads every centroid in float32, which takes
as long as 32 vectors of a list, and one thread trains: so there are as many lists as the root.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.api.search.libraries import libraries

TRAINED_BY = 64  # vectors for each centroid; FAISS asks for 39 at least
SHARE = 1 / 32  # of the lists that a query looks into at first
LEAST_LISTS = 32
AT_A_TIME = 8192
SEED = 1234

Array = Any


def lists_of(rows: int) -> int:
    """The number of lists for so many vectors."""
    return max(1, min(math.isqrt(rows), rows // TRAINED_BY))


def trained(sample: Array, lists: int) -> Any:
    """An empty index whose lists fit a sample.

    Args:
        sample: vectors, [n, width] float32.
        lists: number of lists.
    """
    faiss, _ = libraries()
    faiss.omp_set_num_threads(1)  # of this thread: the other cores are for requests
    index = faiss.index_factory(sample.shape[1], f"RR,IVF{lists},RaBitQ", faiss.METRIC_INNER_PRODUCT)
    clustering = _lists(index).cp
    clustering.max_points_per_centroid = TRAINED_BY
    clustering.spherical, clustering.seed = True, SEED
    index.train(sample)
    return index


def assigned(index: Any, vectors: Array) -> Array:
    """The list of each vector, [n] int64."""
    faiss, _ = libraries()
    faiss.omp_set_num_threads(1)
    return _lists(index).quantizer.search(_turned(index, vectors), 1)[1][:, 0]


def add(index: Any, vectors: Array, lists: Array) -> None:
    """Append vectors, whose lists are known, under the next numbers."""
    faiss, np = libraries()
    faiss.omp_set_num_threads(1)
    ids = np.arange(index.ntotal, index.ntotal + len(vectors), dtype=np.int64)
    vectors, lists = _turned(index, vectors), np.ascontiguousarray(lists, dtype=np.int64)
    _lists(index).add_core(len(vectors), *map(faiss.swig_ptr, (vectors, ids, lists)))
    index.ntotal += len(vectors)


def lists_in(index: Any) -> Array:
    """The list of each row of an index whose rows were added list by list, [n] int64."""
    _, np = libraries()
    inner = _lists(index)
    sizes = [inner.invlists.list_size(number) for number in range(inner.nlist)]
    return np.repeat(np.arange(inner.nlist, dtype=np.int64), sizes)


def emptied(index: Any) -> Any:
    """A copy without rows, for new ones; it uses the centroids of the first, which must live on."""
    faiss, _ = libraries()
    inner = _lists(index)
    copy = faiss.IndexIVFRaBitQ(inner.quantizer, inner.d, inner.nlist, inner.metric_type)
    copy.is_trained = True
    return faiss.IndexPreTransform(_turning(index), copy)


def write(index: Any, path: Path) -> None:
    """Store an index."""
    faiss, _ = libraries()
    faiss.write_index(index, str(path))


def mapped(path: Path) -> Any:
    """An index whose lists stay in their file, which all processes of a machine share in its memory.

    Raises:
        RuntimeError: it cannot be read.
    """
    faiss, _ = libraries()
    index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
    lists = faiss.downcast_InvertedLists(_lists(index).invlists)
    lists.prefetch_nthread = 0  # else each query starts threads to read ahead
    return index


def candidates(index: Any, query: Array, number: int, wanted: int, selector: Callable[[], Any]) -> Array:
    """Rows that may be the nearest: so many, or fewer if all of those that are ``wanted`` at least are among them.

    Args:
        index: from ``mapped``.
        query: unit vector, [width] float32.
        number: of candidates.
        wanted: number of rows that there are for sure. More lists are looked into until that many were found.
        selector: makes FAISS's selector of rows; None for all.
    """
    faiss, _ = libraries()
    faiss.omp_set_num_threads(1)
    lists = _lists(index).nlist
    probes = min(lists, max(LEAST_LISTS, int(SHARE * lists)))
    while True:
        among = faiss.SearchParametersIVF(nprobe=probes, sel=selector())
        _, found = index.search(query[None], number, params=among)
        rows = found[0][found[0] >= 0]
        if len(rows) >= wanted or probes == lists:
            return rows
        probes = min(lists, 4 * probes)


def _lists(index: Any) -> Any:
    """The part of an index that has the lists."""
    faiss, _ = libraries()
    return faiss.extract_index_ivf(index)


def _turning(index: Any) -> Any:
    """The part that turns vectors."""
    faiss, _ = libraries()
    return faiss.downcast_VectorTransform(index.chain.at(0))


def _turned(index: Any, vectors: Array) -> Array:
    _, np = libraries()
    return _turning(index).apply(np.ascontiguousarray(vectors))
