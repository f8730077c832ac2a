"""The columns of a result file with the values of a sweep: one per swept name, such as `sweep.sigma`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from common.atomic import replacing
from workflow.experiments import RESULT, Job
from workflow.stored import notes_of

PREFIX = "sweep."
_NOTE = b"sweep"


def write_labelled(source: Path, job: Job) -> None:
    """Write a job's result file, completely or not at all: another file's rows, with a column per swept name.

    Numbers, booleans and strings keep their types; a list becomes its JSON. Everything else is as in the source, except
    the parameter `result_file`, which now names the written file.

    Args:
        source: a result file. It may be the job's own with columns of earlier names, which are dropped.
        job: the job whose `columns` are written.
    """
    result = Path(job.path(RESULT))
    with pq.ParquetFile(source, page_checksum_verification=True) as file:
        table = file.read()
    notes = dict(table.schema.metadata or {})
    table = table.drop_columns([name for name in table.column_names if name.startswith(PREFIX)])
    # Parameters of a run stand before its epochs: there they tell it from others.
    place = table.column_names.index("epoch") if "epoch" in table.column_names else table.num_columns
    for offset, (name, value) in enumerate(job.columns.items()):
        plain = json.dumps(value) if isinstance(value, list) else value
        table = table.add_column(place + offset, PREFIX + name, pa.array([plain] * table.num_rows))
    notes[_NOTE] = json.dumps(dict(job.columns)).encode()
    notes[b"provenance"] = _of_file(notes.get(b"provenance"), str(result))
    with replacing(result) as temporary:
        pq.write_table(table.replace_schema_metadata(notes), temporary, write_page_checksum=True)


def has_labels(job: Job) -> bool:
    """Return whether the job's result file has exactly the columns that the job asks for."""
    try:
        stored = json.loads(notes_of(Path(job.path(RESULT)))[_NOTE])
    except (KeyError, ValueError):
        return False
    return list(stored.items()) == list(job.columns.items())


def _of_file(provenance: bytes | None, result: str) -> bytes:
    about: Mapping[str, Any] = json.loads(provenance or b"{}")
    named = {**about, "parameters": {**about.get("parameters", {}), "result_file": result}}
    return json.dumps(named, sort_keys=True).encode()
