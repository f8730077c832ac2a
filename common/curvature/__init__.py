"""Second derivatives of a task's loss: products with vectors, eigenpairs, spectra. Read `operators.py` first."""
