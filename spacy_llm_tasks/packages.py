"""Which versions of other packages there are, read without importing them."""

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version


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
