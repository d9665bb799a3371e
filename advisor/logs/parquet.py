"""Rows of a parquet file, batch by batch. Needs the `tables` extra."""

import io
from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

BROKEN = (pa.ArrowException, OSError)


def rows(stream: BinaryIO) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (1-based row, columns by name)."""
    source = stream if stream.seekable() else io.BytesIO(stream.read())
    number = 0
    for batch in pq.ParquetFile(source).iter_batches(batch_size=1024):
        for row in batch.to_pylist():
            number += 1
            yield number, row
