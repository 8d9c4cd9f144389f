"""The command line in this process, with pinned ids, for the documentation's examples."""

from tests.cli.conftest import directory, kitaru, pinned

__all__ = ["directory", "kitaru", "pinned"]
