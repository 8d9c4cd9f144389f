"""The verbs of a project: what the command line, the terminal UI and Python programs call.

Owns: `Project`. Shows nothing; every other module of this package is private to it.
"""

from kitaru.project.project import Project
from kitaru.project.reading import OpenWait

__all__ = ["OpenWait", "Project"]
