"""Takes out of notebooks what an editor writes beside them: `python -m workflow.notebook_metadata notebooks/*.ipynb`.

JupyterLab and other editors add their versions, widget states and times of execution. These differ from machine to
machine and would be in every comparison of two commits. Code, texts, outputs and tags stay as they are.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.atomic import replacing

METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "name": "python"},
}
CELL = ("tags",)  # papermill, nbval and myst-nb read them


def without_metadata(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """Return a notebook's content with the metadata that every notebook has, and of its cells' only the tags.

    Args:
        notebook: the JSON of the file, which is left as it is.
    """
    cells = [
        {**cell, "metadata": {name: cell["metadata"][name] for name in CELL if cell["metadata"].get(name)}}
        for cell in notebook["cells"]
    ]
    return {**notebook, "cells": cells, "metadata": METADATA}


def main(arguments: Sequence[str] | None = None) -> int:
    """Rewrite the notebooks that have other metadata, and name them.

    Args:
        arguments: the command line without the program's name; None: that of this process.

    Returns:
        The exit code: 0 nothing was to be done, 1 some notebook was rewritten, or is none.
    """
    parser = argparse.ArgumentParser(
        prog="python -m workflow.notebook_metadata", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("notebooks", nargs="+", metavar="NOTEBOOK", type=Path, help="a file that ends in .ipynb")
    code = 0
    for path in parser.parse_args(arguments).notebooks:
        try:
            notebook = json.loads(path.read_text(encoding="utf-8"))
            plain = without_metadata(notebook)
        except (OSError, ValueError, KeyError, TypeError) as error:
            print(f"{path} cannot be read as a notebook: {error!r}", file=sys.stderr)
            code = 1
            continue
        if plain != notebook:
            with replacing(path) as temporary:  # as Jupyter writes it
                text = json.dumps(plain, indent=1, ensure_ascii=False, sort_keys=True)
                temporary.write_text(text + "\n", encoding="utf-8")
            print(f"{path}: what an editor had added is taken out; add the file again")
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
