"""What every test may ask for: a real bucket, on this machine."""

from __future__ import annotations

from tests.servers.fixtures import s3_proxy, s3_remote, s3_server

__all__ = ["s3_proxy", "s3_remote", "s3_server"]
