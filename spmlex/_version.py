"""The version, where both the package and its modules find it."""

VERSION = "0.2.0"
