"""fsck of a remote: is every byte there what was written, and is everything there that something names?

Owns: what is looked at beside what a store's own check looks at. Changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kitaru.errors import Damaged, UnknownFormat
from kitaru.store import check as checking
from kitaru.store import layout
from kitaru.store.remote_view import RemoteView, as_store

if TYPE_CHECKING:
    from kitaru.blobs.contract import RemoteBlobs


def check(remote: RemoteBlobs) -> checking.Report:
    """Read all that is on a remote, and follow every reference.

    Raises:
        RemoteError: the remote said no, or nothing.
    """
    with RemoteView(remote) as view:
        view.look()
        try:
            report = checking.check(as_store(view))
        except (UnknownFormat, Damaged) as error:
            report = checking.Report()
            report.damage(error, remote.where(layout.FORMAT_KEY))
        for key in view.odd:
            report.add(checking.DAMAGE, f"{remote.url}: {key!r}", "no store makes such a key")
        return report
