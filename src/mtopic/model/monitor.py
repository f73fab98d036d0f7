"""What goes on around the iterations of one call: checkpoints, the caller's function, Ctrl-C."""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np

from mtopic._warn import warn

from .file import require_folder

if TYPE_CHECKING:
    from .model import Model

Callback: TypeAlias = Callable[["Model"], bool | None]


class Monitor:
    """Saves the model every so many iterations, asks the caller after each, and lets Ctrl-C end it.

    If ``callback`` returns True, there is no other iteration. A second Ctrl-C is Python's own. Only the main thread
    gets signals, and a handler that is not Python's own is left alone. ``unit`` is what an iteration is called.
    """

    def __init__(
        self,
        model: "Model",
        callback: Callback | None,
        checkpoint: str | os.PathLike[str] | None,
        every: int,
        unit: str,
    ) -> None:
        if callback is not None and not callable(callback):
            raise TypeError(f"callback={callback!r}: give a function of the model")
        self._model, self._callback, self._every, self._unit = model, callback, every, unit
        self._path = None if checkpoint is None else require_folder(checkpoint)
        self._done = 0
        self._before: Any = None

    def __enter__(self) -> Self:
        self._model.interrupted = False
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
        if kind is not None:
            return
        self.save()
        if self._model.interrupted:
            state = "as the last one made it" if self._model.n_init == 1 else "the best start so far"
            warn(
                f"stopped by the user after {self._done} {self._unit}: the model is {state}, can be used, and goes on "
                "when it is fitted again"
            )

    def save(self) -> None:
        """Save the model, if it is to be saved at all."""
        if self._path is not None:
            self._model.save(self._path)

    def ends_after(self, iteration: int) -> bool:
        """Whether there should be no iteration after this one, counted over all calls."""
        self._done += 1
        if iteration % self._every == 0:
            self.save()
        answer = None if self._callback is None else self._callback(self._model)
        return self._model.interrupted or (isinstance(answer, bool | np.bool_) and bool(answer))

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self._model.interrupted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
