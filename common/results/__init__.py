"""Results: one tidy frame with its provenance, written atomically, read back from many files, summarized over seeds."""

from common.results.frame import (
    METRICS,
    STATUSES,
    combine,
    last_rows,
    parameter_columns,
    read,
    run_columns,
    run_frame,
    summarize,
    write,
)
from common.results.provenance import provenance

__all__ = [
    "METRICS",
    "STATUSES",
    "combine",
    "last_rows",
    "parameter_columns",
    "provenance",
    "read",
    "run_columns",
    "run_frame",
    "summarize",
    "write",
]
