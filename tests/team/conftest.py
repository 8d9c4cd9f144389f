"""What trials of a team share: a folder, or a bucket of a real server, and machines."""

from __future__ import annotations

import pytest

from tests.servers.fixtures import Place
from tests.team.machines import Team


@pytest.fixture
def folder_team(tmp_path):
    made = Team(tmp_path, Place(str(tmp_path / "shared"), {}))
    yield made
    made.stop()


@pytest.fixture
def bucket_team(tmp_path, s3_remote):
    made = Team(tmp_path, s3_remote())
    yield made
    made.stop()


@pytest.fixture(params=["folder_team", "bucket_team"])
def team(request):
    return request.getfixturevalue(request.param)
