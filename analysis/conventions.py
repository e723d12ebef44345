"""Attributes of the files' variables, by the conventions on climate and forecast data.

Only the standard library is imported here, so that the program that writes a study's
files and those that read them share it.
"""

CONVENTIONS = "CF-1.11"
"""What the attribute `Conventions` of a file says."""

_UDUNITS = {"1": "1", "s": "s", "percent": "percent", "nat": "1"}
"""Units as UDUNITS has them. A nat, a natural logarithm, is a number."""


def describe(long_name: str, unit: str) -> dict[str, str]:
    """Return the attributes of a variable: its name in words, and its unit.

    What UDUNITS knows is `units`. What it does not, such as the unit of a parameter or
    of a latent variable, which nobody told, is said in words as `comment`, without
    `units`; so are nats, which are numbers.

    Example:
        >>> describe("time", "s")
        {'long_name': 'time', 'units': 's'}
        >>> describe("bias", "unit of the parameter")
        {'long_name': 'bias', 'comment': 'in the unit of the parameter'}
    """
    found = {"long_name": long_name}
    known = _UDUNITS.get(unit.removesuffix(" per observation"))
    if known is not None:
        found["units"] = known
    if unit.startswith("nat"):
        found["comment"] = f"in nats{unit.removeprefix('nat')}"
    elif known is None:
        found["comment"] = f"in the {unit}"
    return found
