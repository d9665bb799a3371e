"""Make `rag/embedders/static.npz`: a static embedding distilled from MiniLM, for installs without torch.

Every word piece is run through MiniLM by itself; the vectors are reduced by PCA and weighted by how rare the piece is
(smooth inverse frequency of a Zipf rank), as Model2Vec does (Tulkens and van Dongen 2024). A text is the mean of its
pieces. Needs the extra `rag`; minutes on two cores.

    python scripts/distil_static.py rag/embedders/static.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from rag.sbert import packaged
from rag.wordpieces import vocabulary

BATCH = 512
SIF = 1e-4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--dimension", type=int, default=128)
    args = parser.parse_args()

    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(packaged()))
    start, end = model.tokenizer.convert_tokens_to_ids(["[CLS]", "[SEP]"])
    numbers = sorted(vocabulary().values())
    rows = []
    with torch.inference_mode():
        for at in range(0, len(numbers), BATCH):
            ids = torch.tensor([[start, n, end] for n in numbers[at : at + BATCH]])
            rows.append(
                model({"input_ids": ids, "attention_mask": torch.ones_like(ids)})[
                    "sentence_embedding"
                ].numpy()
            )
    vectors = np.vstack(rows).astype(np.float64)
    vectors -= vectors.mean(axis=0)
    _, _, axes = np.linalg.svd(vectors, full_matrices=False)
    vectors = vectors @ axes[: args.dimension].T
    # BERT's vocabulary stands roughly in the order of frequency: its number serves as the Zipf rank.
    rank = np.arange(1, len(numbers) + 1)
    share = (1 / rank) / (1 / rank).sum()
    vectors *= (SIF / (SIF + share))[:, None]
    scale = np.abs(vectors).max(axis=0) / 127
    np.savez_compressed(
        args.out, vectors=np.round(vectors / scale).astype(np.int8), scale=scale.astype(np.float32)
    )
    print(f"{args.out}: {vectors.shape}, {args.out.stat().st_size / 2**20:.1f} MB")


if __name__ == "__main__":
    main()
