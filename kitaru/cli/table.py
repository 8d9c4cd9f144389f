"""The verbs by name, and the page that `kitaru --help` prints.

Owns: which verbs there are, each with its one line, the global options, and what exit statuses mean. Imports nothing,
so that help costs no more than starting Python. A test holds it against the verb files themselves.
"""

from __future__ import annotations

GROUPS: dict[str, dict[str, str]] = {
    "start and carry on": {
        "init": "Make a project of this directory",
        "run": "Run a flow",
        "invoke": "Start a recorded version of a flow by its name, without its source",
        "queue": "Show what waits for a worker, and call it off",
        "schedule": "Have flows invoked again and again",
        "answer": "Answer a wait, and carry the run on",
        "inbox": "Answer open questions on a screen that shows them all",
        "resume": "Carry on a run that was interrupted, failed or was answered",
        "work": "Begin what is queued, and carry on what can be, as it comes",
        "cancel": "End a run, wherever it executes",
        "replay": "Branch from a recorded run, with something changed",
    },
    "look": {
        "status": "Show what is running, waiting, interrupted or has failed",
        "waits": "List the open questions, with what there is to see",
        "log": "List runs, newest first, or the calls of one run",
        "show": "Show a run, a call or a wait in full",
        "logs": "Show what a run's calls wrote, and follow it",
        "diff": "Compare two runs, call by call, two calls, or two flow versions",
    },
    "flow versions": {
        "flow": "Show flows and their versions, and how their runs ended",
        "deploy": "Record a flow version without running it, and send a route to it",
        "route": "Send invocations to versions of a flow, by names",
        "export": "Write the source files of a flow version to a directory",
    },
    "share with a team": {
        "clone": "Make a project of what a remote has, in a new directory",
        "push": "Send runs to a remote, with what they reach",
        "pull": "Bring what others pushed",
        "fetch": "Bring the content of what others pushed, without showing it yet",
        "remote": "Say where the stores are that runs are pushed to and pulled from",
    },
    "keep in order": {
        "cost": "Show what runs spent on models",
        "du": "Show what takes the room in the store",
        "prune": "Remove old runs, on purpose",
        "gc": "Give back the room of what nothing needs",
        "cache": "Show what the result cache holds, or clear it",
        "trust": "Look at code that came from elsewhere, and say that it may be executed here",
        "fsck": "Check every byte of the store",
    },
    "underneath": {
        "cat-object": "Print a stored value, or its bytes",
        "rev-parse": "Print the whole id that a revision names",
        "config": "Read and change the project's settings",
        "model": "Name the models that kitaru.llm() asks",
        "secret": "Say where the keys of models are, never what they are",
    },
}

VERBS: dict[str, str] = {name: line for verbs in GROUPS.values() for name, line in verbs.items()}

OPTIONS: dict[str, str] = {
    "-C DIR": "Run as if started in DIR",
    "--version": "Print the version",
    "--install-completion": "Install completion for this shell",
    "--show-completion": "Print the completion script of this shell",
    "-h, --help": "Print this page; `kitaru VERB --help` prints a verb's",
}

EXIT_STATUSES: dict[int, str] = {
    0: "done",
    1: "the run failed, or the disk said no",
    2: "usage: the command asks for something that cannot be",
    3: "the run waits for an answer, or sleeps",
    4: "the store is damaged, or of an unknown format",
    5: "drift: code or inputs no longer fit the recorded history",
    6: "already answered, or cancelled",
    7: "another process, or machine, executes this run",
    8: "the run was cancelled",
    9: "the run was rejected at a question",
    10: "somebody else was first, on a remote",
    11: "code that came from elsewhere is not trusted yet",
    70: "a bug in kitaru; a traceback says where",
    130: "interrupted",
}


def help_page() -> str:
    """Return what `kitaru --help` prints."""
    parts = ["usage: kitaru [-C DIR] VERB [ARGS]...", "", "Durable execution for Python agents, as git does history."]
    for title, verbs in GROUPS.items():
        parts += ["", title, *_rows(verbs)]
    parts += ["", "options", *_rows(OPTIONS)]
    parts += ["", "exit status", *_rows({str(code): line for code, line in EXIT_STATUSES.items()})]
    return "\n".join(parts) + "\n"


def _rows(lines: dict[str, str]) -> list[str]:
    width = max(map(len, lines))
    return [f"  {name:<{width}}  {line}" for name, line in lines.items()]
