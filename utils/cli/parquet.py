"""Write the table of faces as Parquet, which large data sets are read from faster than from CSV."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from utils.atomic import write_atomically
from utils.boxes import BOX_COLUMNS
from utils.cli.outputs import make_output_error
from utils.cli.records import CSV_COLUMNS

BATCH = 10_000  # rows in memory at once; each batch is a row group of the file
TYPES = {
    "file": pa.string(),
    "frame": pa.int64(),
    "width": pa.int32(),
    "height": pa.int32(),
    **dict.fromkeys(BOX_COLUMNS, pa.int32()),
    "class_name": pa.string(),
    "unsure": pa.bool_(),
}
SCHEMA = pa.schema([(name, TYPES.get(name, pa.float64())) for name in CSV_COLUMNS])


def write_parquet(output: str | Path, rows: Iterable[dict]) -> None:
    """Write rows with the columns of ``CSV_COLUMNS`` to a Parquet file, whole or not at all.

    Args:
        output: the file.
        rows: one for each face, from ``list_faces``.

    Raises:
        OutputError: the file cannot be written.
    """
    iterator = iter(rows)
    try:
        with (
            write_atomically(output) as part,
            pq.ParquetWriter(part, SCHEMA) as writer,
        ):
            while batch := list(islice(iterator, BATCH)):
                for row in batch:  # a name of bytes that are not UTF-8 is written as escapes
                    row["file"] = row["file"].encode("utf-8", "backslashreplace").decode()
                writer.write_table(pa.Table.from_pylist(batch, SCHEMA))
    except OSError as error:
        raise make_output_error(output, error) from error
