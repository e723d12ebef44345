"""How many digits of a number its Monte Carlo error leaves to be shown."""

import math

MISSING = "-"
_PLAIN_DECIMALS = 3  # where there is no error to follow
_TOO_LONG = 1e9  # more digits than that before the point are not read


def decimals(error: float, *, significant: int = 2) -> int:
    """Count the decimals that show an error with so many significant digits.

    0.0052 takes 4, 0.0996 takes 2 because it is written 0.10. Without an error (missing
    or zero) 3 are shown.
    """
    if not math.isfinite(error) or error <= 0:
        return _PLAIN_DECIMALS
    rounded = float(f"{error:.{significant - 1}e}")
    return max(0, significant - 1 - math.floor(math.log10(rounded)))


def format_value(value: float, error: float) -> str:
    """Write a value as far as its Monte Carlo error goes: `-0.0021`."""
    return write_fixed(value, decimals(error))


def format_error(error: float) -> str:
    """Write a Monte Carlo error in brackets: `(0.0052)`."""
    return f"({write_fixed(error, decimals(error))})"


def write_fixed(value: float, places: int) -> str:
    """Write a value with so many decimals, never `-0.00`; a huge one as `1.5e+138`."""
    if not math.isfinite(value):
        return MISSING
    if abs(value) >= _TOO_LONG:
        return f"{value:.1e}"
    text = f"{value:.{places}f}"
    return text.removeprefix("-") if float(text) == 0 else text
