"""What torch needs in a process that was forked from one that had imported it."""

import sys


def renew_thread_pool() -> None:
    """In the child, before any other thread is there: make the pool of threads anew that a fork leaves unusable.

    Else the first that asks for it does, without a lock, and the first backward has two that ask at once, the caller
    and the engine's new thread: now and then one finds no pool, and torch aborts ("Invalid thread pool!", PyTorch's
    issue 178535). Takes 40 us with torch, nothing without.
    """
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "set_num_threads"):  # it has not while it is being imported
        torch.set_num_threads(torch.get_num_threads())
