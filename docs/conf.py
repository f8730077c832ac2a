"""The site: `make site`. Notebooks are shown as they are stored and never run; mathematics needs no network."""

import importlib.metadata
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS.parent), str(DOCS / "_ext")]

project = "gradient-estimators"
author = "The gradient-estimators contributors"
project_copyright = f"2026, {author}. Apache License 2.0"
release = importlib.metadata.version("gradient-estimators")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "docstrings",
    "mathml",
    "every_public_name",
    "figure_captions",
    "stored_results",
]
# The source folder is the repository's: links between pages, notebooks and code are the same here and on GitHub.
root_doc = "docs/index"
include_patterns = ["docs/**.md", "notebooks/*.ipynb"]
exclude_patterns = ["**/.ipynb_checkpoints"]
html_extra_path = ["_root"]  # index.html, which leads to docs/index.html
html_theme = "furo"
html_title = "Where can a training direction come from, and what does each source cost?"
html_static_path = ["_static"]
html_css_files = ["site.css"]

nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes are described with their class, once
default_role = "code"
# What notebooks show was made for notebooks: a widget's state, a table's script.
suppress_warnings = ["mystnb.unknown_mime_type", "mystnb.mime_priority", "myst.header"]
