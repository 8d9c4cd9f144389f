"""`kitaru resume`.

The flow's body runs again from the top; each recorded call gives its recorded result. The working tree's code is used,
and what changed in it since is shown; `--as-recorded` takes the code that the run recorded. A run whose last call was
made by recorded code goes on with it, which is shown, until `--working-tree`. Code that cannot be imported leaves the
run as it was. `--on-drift` holds for this command only; that of `run` and `replay` for their run.
A run that sleeps is carried on once its time has come; before, this says when that is. Limits given here hold from now
on. Progress, JSON and events are those of [run](run.md).

A run that lives on a remote is claimed there first: where another machine carries it on, this ends with status 7, and
where one has, with status 10 until `kitaru pull`. `--offline` asks nobody. [Teams](../team.md#carrying-on-elsewhere)
tells more.

## Looking ahead

`kitaru resume RUN --check` runs the flow's body with the recorded results, up to the calls that would execute (with
several lines of work at once: the first of each), and tells what would become of each call: `=` reuse, `>` run, `!`
stop, `?` a question that is not recorded. The body itself is ordinary code and runs; no checkpoint is executed and
nothing is written. It ends with status 5 where the run would stop at drift, with 1 where the body fails, else with 0.
A run that is over is followed to its end. [Changing code](../changing-code.md) has examples. `-o json` prints a
[check](json.md#check).
"""

from __future__ import annotations

from kitaru.cli.carry import carry
from kitaru.cli.check_page import tell_check
from kitaru.cli.groups import Limits, Manner, Matching, spread
from kitaru.cli.options import CheckOpt, OfflineOpt, RunArg


@spread
def resume(
    run: RunArg,
    *,
    matching: Matching,
    limits: Limits,
    check: CheckOpt = False,
    offline: OfflineOpt = False,
    manner: Manner,
) -> None:
    """Carry on a run that was interrupted, failed or was answered.

    The same run goes on: what is recorded is not executed again, and a failure that ended it is tried once more.
    """
    from kitaru.project import Project

    project = Project.open()
    if check:
        return tell_check(project.check_resume(run, **matching.given()), manner.output)
    found = project.find_run(run)
    return carry(
        project,
        lambda observer: project.resume(
            found, **matching.given(), **limits.given(), offline=offline, observer=observer, foreground=True
        ),
        manner,
    )
