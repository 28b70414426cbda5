"""Compiling the functions that run once per byte of text to machine code."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from numba import njit

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def compiled(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Compile a function at its first call, and cache it for other processes if possible.

    The function runs without the GIL.
    """
    try:
        made = njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no folder is writable: beside the module, or the user's cache
        made = njit(nogil=True)(function)
    return cast("Callable[_Parameters, _Result]", made)
