"""Results: tidy frames with provenance, in result files and in a store of records; reading and summaries.

`python -m common.results` collects and merges them without a notebook; see `--help`. Read `frame.py` first.
"""

from common.results.code_digest import code_digest
from common.results.collection import PAPER, collect, merge, read, read_paper
from common.results.frame import METRICS, PROVENANCE, STATUSES, combine, parameter_columns, run_columns, run_frame
from common.results.provenance import provenance, run_provenance
from common.results.result_file import write
from common.results.store import Record, Store, StoreWarning, identity_digest
from common.results.summary import last_rows, paired_comparisons, paired_differences, pivot, summarize, with_interval

__all__ = [
    "METRICS",
    "PAPER",
    "PROVENANCE",
    "STATUSES",
    "Record",
    "Store",
    "StoreWarning",
    "code_digest",
    "collect",
    "combine",
    "identity_digest",
    "last_rows",
    "merge",
    "paired_comparisons",
    "paired_differences",
    "parameter_columns",
    "pivot",
    "provenance",
    "read",
    "read_paper",
    "run_columns",
    "run_frame",
    "run_provenance",
    "summarize",
    "with_interval",
    "write",
]


def __dir__() -> list[str]:
    return __all__
