"""Blobs in a bucket of S3, or of any server that speaks its protocol. Nothing else of Kitaru knows such a library."""

from kitaru.blobs.bucket.blobs import BucketBlobs
from kitaru.blobs.bucket.connection import Limits

__all__ = ["BucketBlobs", "Limits"]
