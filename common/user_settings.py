"""User settings of Keras, TensorFlow, Matplotlib and pandas that would change numbers or break modules.

Keras reads a keras.json and environment variables when it is imported. Networks here are always made for TensorFlow,
with the channels last, and in float32 unless the network states another type. These settings are made as soon as Keras
is imported. A Matplotlib backend that does not exist is ignored, because figures here need none. Notebooks show whole
tables. TensorFlow's messages during its import, such as a missing GPU, would appear in every notebook; they are shown
only if the import fails. Importing this module imports none of these libraries.
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
    """Make all settings, now or when the library that reads them is imported; further calls change nothing.

    Raises:
        ImportError: Keras is already imported with another backend.
    """
    # This also covers TensorFlow's C++ messages after the import. Level 3 hides errors of that layer, such as the one
    # that a machine without a GPU reports at every start. To set up a GPU, set the variable to 0 and read them.
    os.environ.setdefault(LOG_LEVEL, QUIET)
    os.environ["KERAS_BACKEND"] = BACKEND
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):  # a notebook's print goes to both
        print_anything(stream)
    if "keras" in sys.modules:
        state_keras(sys.modules["keras"])
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def print_anything(stream: object) -> None:
    r"""Let a stream print the code of a character that its encoding lacks, such as \u03c3, instead of an error."""
    # In the locale C, "surrogateescape" is the default.
    if getattr(stream, "errors", None) in ("strict", "surrogateescape") and hasattr(stream, "reconfigure"):
        with suppress(OSError, ValueError):  # a file that is closed or cannot seek keeps its setting
            stream.reconfigure(errors="backslashreplace")


def state_keras(keras: ModuleType) -> None:
    """Set Keras' own settings for all networks that are built afterwards.

    Raises:
        ImportError: Keras runs on another backend, which can no longer be changed.
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
    # KERAS_MAX_EPOCHS and KERAS_MAX_STEPS_PER_EPOCH would end a `fit` early, and no result would show it.
    keras.config.set_max_epochs(None)
    keras.config.set_max_steps_per_epoch(None)


def show_whole_tables() -> None:
    """Reset pandas' display options to its defaults: the text of notebooks refers to all rows, columns and digits.

    This is only for the project's own notebooks. Other notebooks keep their options when they import the project.
    """
    if "pandas" in sys.modules:  # otherwise no option has been set
        with warnings.catch_warnings(action="ignore"):  # warnings about options that will be renamed
            for pattern in (r"^display\.", r"^styler\."):
                sys.modules["pandas"].reset_option(pattern)


@contextmanager
def _any_backend() -> Iterator[None]:
    """Ignore an MPLBACKEND that Matplotlib does not know, because its import would raise an error."""
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
            # No warning: users who turn warnings into errors could not import Matplotlib.
            print(f"MPLBACKEND is {backend!r}, which Matplotlib does not know: it is passed over", file=sys.stderr)


@contextmanager
def _silent_import() -> Iterator[None]:
    """Keep the output to standard error, including that of C++, and write it only if the import fails."""
    if os.environ.get(LOG_LEVEL) != QUIET:  # the user wants to read it
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
    """Make Keras' settings after its import; if the import ends with a bare assertion, name the file at fault."""
    try:
        yield
    except AssertionError:
        raise ImportError(f"Keras cannot be imported: {_keras_file()} has a value that it does not know") from None
    state_keras(sys.modules["keras"])


def _keras_file() -> str:
    return os.path.join(os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras"), "keras.json")


_AROUND: dict[str, Callable] = {"tensorflow": _silent_import, "keras": _stated_import, "matplotlib": _any_backend}


class _Finder(MetaPathFinder):
    """Finder that finds these libraries as usual, and runs their imports within a context."""

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
    """Loader that runs another loader within a context."""

    def __init__(self, loader: Loader, name: str):
        self._loader, self._name = loader, name

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__.loader = module.__loader__ = self._loader  # as if the original loader had been used
        with _AROUND[self._name]():
            self._loader.exec_module(module)
