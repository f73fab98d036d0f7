"""The logger ``mtopic``: what functions tell with ``verbose=True``, a line each on standard output."""

import logging
import sys
from typing import TextIO


class _Printer(logging.StreamHandler[TextIO]):
    """Writes to what is standard output at the time, as notebooks and tests exchange it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stdout

    def format(self, record: logging.LogRecord) -> str:
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        return super().format(record).encode(encoding, "replace").decode(encoding)


logger = logging.getLogger("mtopic")
if not logger.handlers:
    logger.addHandler(_Printer())
    logger.propagate = False
logger.setLevel(logger.level or logging.INFO)
