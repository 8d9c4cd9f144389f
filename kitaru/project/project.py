"""The project: one class that has all verbs, for the command line, the terminal UI and Python programs.

Owns: how one is found and opened. Every verb is in the module of its concern, as a method of one of the classes that
`Project` is made of: it decides what a verb decides, and shows nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitaru.errors import NotAProject
from kitaru.project import places
from kitaru.project.checking import Checking
from kitaru.project.comparing import Comparing
from kitaru.project.deploying import Deploying
from kitaru.project.flows import Flows
from kitaru.project.keeping import Keeping
from kitaru.project.models import Models
from kitaru.project.replying import Replying
from kitaru.project.scheduling import Scheduling
from kitaru.project.sharing import Sharing
from kitaru.project.trusting import Trusting
from kitaru.project.versions import VersionComparing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kitaru.runtime.decorators import Flow
    from kitaru.runtime.events import Services
    from kitaru.runtime.handle import FlowHandle


class Project(
    Keeping,
    Comparing,
    VersionComparing,
    Checking,
    Flows,
    Models,
    Deploying,
    Scheduling,
    Replying,
    Trusting,
    Sharing,
):
    """A directory with a `.kitaru/` in it. Open one with `Project.open()` or make one with `Project.init()`.

    What it can be asked is in `Reading`, how runs are started and carried on in `Running`, replied to in `Replying`,
    compared in `Comparing`, what would happen to them in `Checking`; versions are started by their names in `Invoking`,
    and how all is looked after is in `Keeping`.
    """

    def __repr__(self) -> str:
        """Tell which project it is."""
        return f"<Project {self.root}>"

    @classmethod
    def init(cls, directory: Path | str | None = None) -> Project:
        """Make a project of a directory (the current one by default), from the template.

        Raises:
            ProjectExists: it is one already.
            StoreError: it cannot be written.
        """
        root = Path(directory or ".").absolute()
        places.lay_down(root)
        return cls.open(root)

    @classmethod
    def open(cls, directory: Path | str | None = None, *, services: Services | None = None) -> Project:
        """Open the project of a directory (the current one by default) or of the nearest parent that is one.

        `KITARU_DIR` names the project's directory instead, as `GIT_DIR` does for git.

        Raises:
            NotAProject: none of them has a `.kitaru/`.
            UnknownFormat: the store was written by a Kitaru that this one does not understand.
        """
        return cls._of(places.find_root(directory), services)

    @classmethod
    def of_flow(cls, flow: Flow[Any, Any]) -> Project:
        """Open the project that a flow started from Python belongs to: of the current directory, or of its file."""
        file = Path(flow.fn.__code__.co_filename)
        try:
            root = places.find_root(None)
        except NotAProject:
            if not file.is_file():
                raise
            root = None
        return cls.open(root or file.absolute().parent)

    @classmethod
    def start(cls, flow: Flow[Any, Any], inputs: Mapping[str, Any]) -> FlowHandle[Any]:
        """Start a flow from Python, in the project it belongs to: what `flow.run()` does."""
        return cls.of_flow(flow).run(flow, inputs)
