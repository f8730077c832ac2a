"""The workflow that runs the notebooks of a preset and draws their figures: `python -m workflow.run --help`."""
