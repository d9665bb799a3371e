"""A small query adapter: one matrix that turns questions' vectors towards the passages that answered them.

Only the query side is turned, so nothing has to be embedded again and it can be taken off at any time.
"""

from __future__ import annotations

import numpy as np

from rag.embedders.port import Vectors

LEAST_PAIRS = 200
_RIDGE = 100.0


def fit(queries: Vectors, passages: Vectors) -> Vectors:
    """Return the matrix that brings queries nearest to their passages, held to the identity by ridge regression.

    Args:
        queries: Shape (pairs, dimension).
        passages: Shape (pairs, dimension), the passage that answers each.

    Returns:
        Shape (dimension, dimension); a query is multiplied from the left.

    Raises:
        ValueError: There are fewer than 200 pairs.
    """
    if len(queries) < LEAST_PAIRS:
        raise ValueError(f"{len(queries)} pairs; at least {LEAST_PAIRS} are needed")
    held = _RIDGE * np.eye(queries.shape[1])
    matrix: Vectors = np.linalg.solve(queries.T @ queries + held, queries.T @ passages + held).astype(
        np.float32
    )
    return matrix
