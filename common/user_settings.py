"""Settings of the user's own that would change numbers or break modules: of Keras, TensorFlow, Matplotlib, pandas.

Keras reads a keras.json and environment variables when it is imported. Whatever they say, networks here are made for
TensorFlow, in float32 unless they say otherwise, with the channels last; so this is stated as soon as Keras is there.
A Matplotlib backend that does not exist is passed over, since figures here need none; tables of notebooks are whole.
What TensorFlow says while it is imported (that there is no GPU) would land in every notebook; it is kept for the case
that the import fails. Importing this module imports none of them.
"""

import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

BACKEND, FLOAT_TYPE, EPSILON, IMAGE_FORMAT = "tensorflow", "float32", 1e-7, "channels_last"
LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
QUIET = "3"


def state() -> None:
    """State all settings, now or when the library that reads them is imported; more calls change nothing.

    Raises:
        ImportError: Keras is there already, with another backend.
    """
    # TensorFlow's C++ messages after the import, too. 3 hides errors of that layer (a machine without a GPU reports one
    # at every start); whoever sets up a GPU sets the variable to 0 and reads them.
    os.environ.setdefault(LOG_LEVEL, QUIET)
    os.environ["KERAS_BACKEND"] = BACKEND
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):  # a notebook's print goes to both
        print_anything(stream)
    if "keras" in sys.modules:
        state_keras(sys.modules["keras"])
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def print_anything(stream: object) -> None:
    r"""Let a stream whose encoding lacks a letter print its number, such as \u03c3, where it would raise an error."""
    # In the locale C the second is the default.
    if getattr(stream, "errors", None) in ("strict", "surrogateescape") and hasattr(stream, "reconfigure"):
        with suppress(OSError, ValueError):  # a file that cannot tell its place, or is closed, keeps what it has
            stream.reconfigure(errors="backslashreplace")


def state_keras(keras: ModuleType) -> None:
    """State Keras' own settings for all that is built from now on.

    Raises:
        ImportError: it runs on another backend, which cannot be changed any more.
    """
    backend = keras.config.backend()
    if backend != BACKEND:
        raise ImportError(
            f"Keras was imported with the backend {backend!r}, and this project needs {BACKEND!r}: import common "
            f"first, or set KERAS_BACKEND={BACKEND}"
        )
    keras.config.set_floatx(FLOAT_TYPE)
    keras.config.set_epsilon(EPSILON)
    keras.config.set_image_data_format(IMAGE_FORMAT)
    # KERAS_MAX_EPOCHS and KERAS_MAX_STEPS_PER_EPOCH would end a `fit` early, and no result would say so.
    keras.config.set_max_epochs(None)
    keras.config.set_max_steps_per_epoch(None)


def show_whole_tables() -> None:
    """Have pandas show tables as it does by itself: what a notebook says of them is of all rows, columns and digits.

    For the project's own notebooks alone: who imports it into another one keeps what was set there.
    """
    if "pandas" in sys.modules:  # otherwise nobody has set anything
        with warnings.catch_warnings(action="ignore"):  # of options that will be renamed
            for pattern in (r"^display\.", r"^styler\."):
                sys.modules["pandas"].reset_option(pattern)


@contextmanager
def _any_backend() -> Iterator[None]:
    """Pass over an MPLBACKEND that Matplotlib does not know, with which its import ends in an error."""
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        yield
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend:
        try:
            sys.modules["matplotlib"].rcParams["backend"] = backend
        except ValueError:
            # No warning: who makes errors of warnings would be left without Matplotlib.
            print(f"MPLBACKEND is {backend!r}, which Matplotlib does not know: it is passed over", file=sys.stderr)


@contextmanager
def _silent_import() -> Iterator[None]:
    """Keep what is written to the standard error, by C++ too, and write it only if the import fails."""
    if os.environ.get(LOG_LEVEL) != QUIET:  # somebody wants to read it
        yield
        return
    try:
        terminal = os.dup(2)
    except OSError:  # a process without a standard error
        yield
        return
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(terminal, kept.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


@contextmanager
def _stated_import() -> Iterator[None]:
    """State Keras' settings after its import; name the file that ends the import with a bare assertion."""
    try:
        yield
    except AssertionError:
        raise ImportError(f"Keras cannot be imported: {_keras_file()} has a value that it does not know") from None
    state_keras(sys.modules["keras"])


def _keras_file() -> str:
    return os.path.join(os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras"), "keras.json")


_AROUND: dict[str, Callable] = {"tensorflow": _silent_import, "keras": _stated_import, "matplotlib": _any_backend}


class _Finder(MetaPathFinder):
    """Finds these libraries where they are, and has their imports done within a context."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in _AROUND:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, name)
        return spec


class _Loader(Loader):
    """Another loader, within a context."""

    def __init__(self, loader: Loader, name: str):
        self._loader, self._name = loader, name

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__.loader = module.__loader__ = self._loader  # as if there had been no other
        with _AROUND[self._name]():
            self._loader.exec_module(module)
