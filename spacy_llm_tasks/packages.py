"""Other packages: which versions there are, and the import of those that not everybody has."""

from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any


def installed(packages: Iterable[str]) -> dict[str, str]:
    """Look up the versions of packages.

    packages (Iterable[str]): Names of distributions.
    RETURNS (dict[str, str]): Version by name, in the same order; what is not installed is left out.
    """
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def import_optional(module: str, message: str) -> Any:
    """Import a module of a package that not everybody has.

    module (str): Its full name.
    message (str): What needs it, and what to install.
    RETURNS (Any): The module.
    RAISES (ImportError): If it is not installed, with the message.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(message) from error
