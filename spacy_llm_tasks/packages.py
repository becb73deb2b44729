"""Other packages: which versions there are, and the import of those that not everybody has."""

from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .errors import Errors


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


def import_optional(module: str, *, what: str, package: str, extras: str) -> Any:
    """Import a module of a package that not everybody has.

    module (str): Its full name.
    what (str): What needs it, for the message; in the plural.
    package (str): The name of the distribution.
    extras (str): By which extras of ours it comes.
    RETURNS (Any): The module.
    RAISES (ImportError): If it is not installed, with what to install.
    """
    try:
        return import_module(module)
    except ImportError as error:
        found = {"what": what, "package": package, "extras": extras}
        raise ImportError(Errors.E707.format(**found)) from error
