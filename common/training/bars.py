"""The bar that shows progress: a widget in JupyterLab, lines elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm
from tqdm.notebook import tqdm as widget


def progress_bar(items: Iterable | None = None, *, unit: str, total: int | None = None) -> tqdm[Any]:
    """Return a bar that counts the items, or what it is updated by.

    JupyterLab's server names the session of each kernel that it starts; papermill, nbval and scripts do not. There,
    a widget would be an empty box in the stored notebook, so they get a line of text every few seconds.

    Args:
        items: what is looped over; None: `update` counts.
        unit: of what is counted, such as "epoch".
        total: how many there are; None: as many as the items.
    """
    make = widget if "JPY_SESSION_NAME" in os.environ else tqdm
    return make(items, total=total, unit=unit, mininterval=5)
