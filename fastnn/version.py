"""The version, for all who write it down.  This file must not import anything of fastnn."""

__all__ = ["__version__"]

__version__ = "0.1.0"
