"""Compiling the functions that run once per byte of text to machine code."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from numba import njit

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def compiled(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Compiled at its first call, and kept for other processes where a folder can be written.

    Other threads go on while it runs.
    """
    try:
        made = njit(cache=True, nogil=True)(function)
    except RuntimeError:  # neither beside the module nor in the user's cache
        made = njit(nogil=True)(function)
    return cast("Callable[_Parameters, _Result]", made)
