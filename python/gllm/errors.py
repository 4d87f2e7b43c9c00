"""What can go wrong: one class for each status of gllm.h, each also an exception that Python has for the kind."""
from __future__ import annotations

from typing import Dict, Type

from . import _c


class GllmError(Exception):
    """A sentence that names the thing, what was found and what was expected. `status` is gllm.h's name for the kind."""

    status = ""


class InvalidError(GllmError, ValueError):
    pass


class OutOfMemoryError(GllmError, MemoryError):
    pass


class FileError(GllmError, OSError):
    pass


class FormatError(GllmError, ValueError):
    pass


class UnsupportedError(GllmError, NotImplementedError):
    pass


class DeviceError(GllmError, RuntimeError):
    pass


class TooLongError(GllmError, ValueError):
    pass


class CanceledError(GllmError):
    pass


class TimedOutError(GllmError, TimeoutError):
    pass


class BusyError(GllmError):
    pass


class ClosedError(GllmError):
    pass


class NotFoundError(GllmError, LookupError):
    pass


class DownloadError(GllmError, ConnectionError):
    pass


_CLASSES: Dict[str, Type[GllmError]] = {
    "INVALID": InvalidError, "NOMEM": OutOfMemoryError, "IO": FileError, "FORMAT": FormatError, "UNSUPPORTED": UnsupportedError, "DEVICE": DeviceError,
    "TOO_LONG": TooLongError, "CANCELED": CanceledError, "TIMEOUT": TimedOutError, "BUSY": BusyError, "CLOSED": ClosedError, "NOT_FOUND": NotFoundError, "DOWNLOAD": DownloadError}
_BY_VALUE: Dict[int, Type[GllmError]] = {}
for _name, _class in _CLASSES.items():
    _class.status = _name
    _BY_VALUE[_c.STATUS[_name]] = _class


def check(status: int, error: _c.Error) -> None:
    """Raises unless the status is GLLM_OK."""
    if status != 0:
        raise _BY_VALUE.get(status, GllmError)(error.message.decode("utf-8", "replace"))
