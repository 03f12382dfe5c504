"""Parquet: one record a row of one column, read a few rows at a time."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from detente.corpus.files import COMPRESSIONS, TextFile
from detente.corpus.jsonl import missing_field
from detente.errors import DataError

_ROWS = 1024
_COLUMN_BUFFER_BYTES = 1 << 20


def read_parquet(stream: BinaryIO, file: TextFile) -> Iterator[str]:
    """The text of each row; a null is no text.

    Raises:
        DataError: pyarrow is missing, the file is damaged, or the column is missing or holds something else than text.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError:
        raise DataError(f"reading {file.path} needs pyarrow: pip install 'detente[parquet]'") from None
    try:
        with _seekable(stream, file) as seekable:
            table = pyarrow.parquet.ParquetFile(seekable, buffer_size=_COLUMN_BUFFER_BYTES, pre_buffer=False)
            _check_column(table.schema_arrow, file, pa)
            for batch in table.iter_batches(batch_size=_ROWS, columns=[file.field]):
                yield from _decode(batch.column(0), file, pa)
    except pa.ArrowException as error:
        raise DataError(
            f"{file.path} is not sound Parquet ({_first_line(error)}). Copy or download it again."
        ) from None


@contextmanager
def _seekable(stream: BinaryIO, file: TextFile) -> Iterator[BinaryIO]:
    """Parquet is read from its end, so that a compressed file is first unpacked to a nameless temporary one."""
    if file.path.suffix.lower() not in COMPRESSIONS:
        yield stream
        return
    with tempfile.TemporaryFile() as unpacked:
        shutil.copyfileobj(stream, unpacked)
        yield cast(BinaryIO, unpacked)


def _check_column(schema: Any, file: TextFile, pa: Any) -> None:
    if file.field not in schema.names:
        raise DataError(f"{file.path}: {missing_field(file.field, schema.names)}")
    kind = schema.field(file.field).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not any(is_text(kind) for is_text in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary)):
        raise DataError(
            f"{file.path}: column `{file.field}` must hold text, found {kind}. Set `field` to another column."
        )


def _decode(column: Any, file: TextFile, pa: Any) -> Iterator[str]:
    # As bytes, because Arrow does not check that its text is UTF-8.
    for value in column.cast(pa.large_binary()).to_pylist():
        try:
            yield (value or b"").decode("utf-8", file.errors)
        except UnicodeDecodeError:
            raise DataError(
                f"{file.path}: column `{file.field}` holds text that is not UTF-8. Mend it, or set `errors: replace`."
            ) from None


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
