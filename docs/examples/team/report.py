"""A report that a person has to approve: the flow of `story.sh`.

Each call notes where it executed, so that the report tells in the end which of two machines did what.
"""

import getpass

from kitaru import checkpoint, flow, wait


@checkpoint
def draft(topic: str) -> dict[str, str]:
    """Write what is known about a topic: a stand-in for something that takes long, or costs money."""
    return {"text": f"All that is known about {topic}.", "drafted by": getpass.getuser()}


@checkpoint
def publish(report: dict[str, str]) -> dict[str, str]:
    """Publish a report: a stand-in for something that must happen once."""
    return {**report, "published by": getpass.getuser()}


@flow
def report(topic: str) -> dict[str, str] | str:
    """Draft a report, and publish it if somebody approves."""
    text = draft(topic)
    return publish(text) if wait("approve", "Publish this?") else "dropped"
