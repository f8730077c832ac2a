"""The bar that shows progress: a widget in JupyterLab, lines elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm
from tqdm.notebook import tqdm as widget


def progress_bar(items: Iterable | None = None, *, unit: str, total: int | None = None) -> tqdm[Any]:
    """Return a bar that counts the items, or the calls of `update`.

    JupyterLab's server gives each kernel a session name in its environment; papermill, nbval and scripts do not. For
    these, a widget would be an empty box in the stored notebook. They therefore get a line of text every few seconds.

    Args:
        items: the items of the loop; None if `update` counts.
        unit: name of one counted item, such as "epoch".
        total: number of items; None: the length of `items`.
    """
    make = widget if "JPY_SESSION_NAME" in os.environ else tqdm
    return make(items, total=total, unit=unit, mininterval=5)
