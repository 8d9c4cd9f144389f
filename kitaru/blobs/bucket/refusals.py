"""What the failures of a bucket mean: which pass by themselves, and how the others are told to a user.

Owns: the table of a server's refusals, and the words for a network's. Every message is made here of known words, the
address of the bucket and the code of the refusal: none repeats a header, a key or a signature.
"""

from __future__ import annotations

import socket
from typing import Any

import aiohttp
from botocore import exceptions as boto  # type: ignore[import-untyped]  # it has no types
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]  # as above

from kitaru.errors import BadConfig, NotExclusive, RemoteError, RemoteRefused, RemoteUnreachable, StoreError
from kitaru.text import clip


class Truncated(Exception):
    """Fewer bytes came than were announced."""


class NotBucket(Exception):
    """Something answered that all is well, but not as a server of S3 does: the login page of a network, perhaps."""


_CUT = (boto.HTTPClientError, boto.IncompleteReadError, aiohttp.ClientError, Truncated)
_WRONG = (ResponseParserError, NotBucket, ValueError)
FAILURES = (boto.BotoCoreError, boto.ClientError, OSError, RecursionError, *_WRONG, *_CUT)
"""What a request may raise."""

CONDITION = {"PreconditionFailed", "412"}
MISSING = {"NoSuchKey", "NotFound", "404"}
RANGE = {"InvalidRange", "416"}
GONE_UPLOAD = {"NoSuchUpload"}

_PASSING = {
    "SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "RequestTimeout", "TooManyRequests",
    "ConditionalRequestConflict", "OperationAborted", "InternalError", "ServiceUnavailable", "BadDigest",
}  # fmt: skip
_NO_CONTENT, _NOT_ALLOWED, _NOT_BUILT = 204, 405, 501

_KEYS = "see AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile of the remote in ~/.aws/credentials"
_RENEW = "get new ones, for instance with `aws sso login`, and try again"
_BUCKET = "see `kitaru remote list`; a bucket is made with the tools of whoever runs the server"
_NETWORK = "see the network, and the endpoint-url of the remote with `kitaru remote list`"

_REGION = ("the bucket is in another region", "kitaru remote add --region REGION")

_REFUSED = {
    **dict.fromkeys(
        ("InvalidAccessKeyId", "InvalidClientTokenId"), ("the server does not know this access key", _KEYS)
    ),
    "SignatureDoesNotMatch": ("the secret key does not belong to the access key", _KEYS),
    **dict.fromkeys(
        ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"),
        ("the credentials have expired", _RENEW),
    ),
    "InvalidToken": ("the session token is not a valid one", _RENEW),
    "RequestTimeTooSkewed": (
        "the clock of this machine differs too much from the server's",
        "set the clock, for instance with `timedatectl set-ntp true`",
    ),
}
_ABSENT = {
    "NoSuchBucket": ("there is no such bucket", _BUCKET),
    "InvalidBucketName": ("the server can have no bucket of this name", _BUCKET),
    **dict.fromkeys(("PermanentRedirect", "AuthorizationHeaderMalformed", "301", "307"), _REGION),
}
_DENIED = {"AccessDenied", "AllAccessDisabled", "Forbidden", "UnauthorizedAccess", "401", "403"}
_NO_S3 = ("what answers there does not speak the protocol of S3", _NETWORK)


_PROOFS = {
    "put_object": {"ETag"},
    "get_object": {"ETag", "ContentLength"},
    "head_object": {"ETag", "ContentLength"},
    "create_multipart_upload": {"UploadId"},
    "upload_part": {"ETag"},
    "complete_multipart_upload": {"ETag"},
    "list_objects_v2": {"IsTruncated"},
    "list_multipart_uploads": {"IsTruncated"},
}
"""What is in every answer of a real server: whoever takes any `200 OK` for one believes that his work is safe."""
_LISTED = {"Contents": {"Key", "Size", "LastModified"}, "Uploads": {"Key", "UploadId", "Initiated"}}


def check_answer(name: str, answer: dict[str, Any], *, ranged: bool = False) -> None:
    """Raise NotBucket if an answer is not one to the request `name`, or, if it is `ranged`, not to one for a range."""
    whole = answer.keys() >= _PROOFS.get(name, set())
    whole = whole and all(entry.keys() >= told for part, told in _LISTED.items() for entry in answer.get(part, ()))
    if ranged:
        whole = whole and "ContentRange" in answer
    if name in {"delete_object", "abort_multipart_upload"}:
        whole = answer["ResponseMetadata"]["HTTPStatusCode"] == _NO_CONTENT
    if not whole:
        raise NotBucket


def code_of(error: Exception) -> str:
    """Return the code of a server's refusal, such as `NoSuchKey`; empty if it is none."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, boto.ClientError) else ""


def _status_of(error: Any) -> int:  # noqa: ANN401 - botocore has no types
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)


def is_unknown_request(error: Exception) -> bool:
    """Tell whether a server refused a request because it does not know such requests at all."""
    if not isinstance(error, boto.ClientError):
        return False
    return _status_of(error) in {_NOT_ALLOWED, _NOT_BUILT} or code_of(error) == "NotImplemented"


def tries(error: Exception) -> int:
    """Return how often in all a request is made that fails so: once if it would fail so again."""
    if isinstance(error, boto.ClientError):
        status = _status_of(error)
        passing = code_of(error) in _PASSING or status == 429 or (status >= 500 and status != _NOT_BUILT)
        return 5 if passing else 1
    if isinstance(error, boto.SSLError) or any(isinstance(cause, RecursionError) for cause in _causes(error)):
        return 1
    if isinstance(error, (boto.ConnectionError, boto.ReadTimeoutError)):
        return 2
    return 5 if isinstance(error, _CUT) else 1


def explain(error: Exception, doing: str, where: str) -> StoreError | BadConfig:
    """Return a failure as an error for a user.

    Args:
        error: one of `FAILURES`.
        doing: what was tried: `read`, `write`, `list` or `delete`.
        where: the URL of the bucket, and the server's if it is not Amazon's.
    """
    if isinstance(error, boto.ClientError):
        return _answered(error, doing, where)
    found = _without_credentials(error, where)
    if found is not None:
        return found
    if isinstance(
        error, (ResponseParserError, NotBucket, ValueError)
    ):  # a number that is none, a name that no host has
        return RemoteUnreachable(f"{where}: {_NO_S3[0]}", hint=_NO_S3[1])
    if isinstance(error, boto.BotoCoreError) and not isinstance(error, (*_CUT, boto.ConnectionError)):
        return RemoteError(f"{where}: the request cannot be made ({type(error).__name__})", hint="see ~/.aws/config")
    return _without_network(error, where)


def _answered(error: Any, doing: str, where: str) -> StoreError:  # noqa: ANN401 - as above
    code, status = code_of(error), _status_of(error)
    if code in _REFUSED:
        return RemoteRefused(f"{where}: {_REFUSED[code][0]}", hint=_REFUSED[code][1])
    if code in _ABSENT:
        return RemoteUnreachable(f"{where}: {_ABSENT[code][0]}", hint=_ABSENT[code][1])
    if code in _DENIED:
        hint = f"ask whoever runs the bucket for the right to {doing} there, or choose another --profile"
        return RemoteRefused(f"{where}: these credentials may not {doing} there", hint=hint)
    if status == _NOT_BUILT:
        return NotExclusive(f"{where}: the server cannot do this: {doing} with a condition", hint="kitaru remote show")
    if not code or code.isdigit():
        return RemoteUnreachable(f"{where}: {_NO_S3[0]} (status {status})", hint=_NO_S3[1])
    return RemoteError(f"{where}: the server refuses to {doing}: {clip(code, 60)}", hint="kitaru remote show")


def _without_credentials(error: Exception, where: str) -> StoreError | BadConfig | None:
    if isinstance(error, boto.ProfileNotFound):
        return RemoteRefused(f"{where}: there is no such profile in ~/.aws", hint="aws configure list-profiles")
    if isinstance(error, (boto.UnauthorizedSSOTokenError, boto.SSOError, boto.TokenRetrievalError)):
        return RemoteRefused(f"{where}: the credentials have expired", hint=_RENEW)
    if isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError)):
        return RemoteRefused(f"{where}: there are no credentials for it", hint=_KEYS)
    if isinstance(error, (boto.ConfigParseError, boto.ConfigNotFound)):
        return RemoteRefused(f"{where}: the files in ~/.aws cannot be read", hint="see ~/.aws/config")
    if isinstance(error, boto.InvalidRegionError):
        return BadConfig(f"{where}: the region is not one", hint="kitaru remote list")
    return None


def _without_network(error: Exception, where: str) -> StoreError:
    return RemoteUnreachable(f"{where}: {_lack(error)}", hint=_NETWORK)


_LACKS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((RecursionError,), _REGION[0]),  # botocore follows an answer that leads back to where it came from
    ((boto.SSLError, aiohttp.ClientSSLError), "no connection that can be trusted could be made (TLS)"),
    ((socket.gaierror, aiohttp.ClientConnectorDNSError), "no host of this name was found"),
    ((ConnectionRefusedError,), "nothing answers at this address: the connection was refused"),
    ((boto.ConnectTimeoutError, boto.ReadTimeoutError, TimeoutError), "there was no answer in time"),
    ((boto.ConnectionError,), "no connection could be made"),
    ((aiohttp.ClientResponseError, aiohttp.http_exceptions.HttpProcessingError), _NO_S3[0]),
)


def _lack(error: Exception) -> str:
    causes = _causes(error)
    for kinds, words in _LACKS:
        if any(isinstance(cause, kinds) for cause in causes):
            return words
    return "the connection was cut again and again"


def _causes(error: BaseException | None) -> list[BaseException]:
    """Return an error and what it was made of, as botocore, aiohttp and Python keep it."""
    found: list[BaseException] = []
    while isinstance(error, BaseException) and error not in found:
        found.append(error)
        kept = getattr(error, "kwargs", {}).get("error") or getattr(error, "os_error", None)
        error = kept if isinstance(kept, BaseException) else error.__cause__
    return found
