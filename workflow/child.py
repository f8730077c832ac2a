"""What a process that another one started does first: how many threads it has, and when it ends."""

import os
import threading
import time

# TensorFlow and the numerical libraries read them when they start, and not again.
THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")


def use_threads(count: int) -> None:
    """Limit the threads of TensorFlow and of the numerical libraries in this process and those that it starts."""
    for variable in THREADS:
        os.environ[variable] = str(count)


def stop_with_parent() -> None:
    """End this process soon after its parent: a killed sweep must not go on in the background.

    The notebook's own process watches this one in the same way (ipykernel does that).
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
