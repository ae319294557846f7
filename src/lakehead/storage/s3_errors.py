"""What botocore's errors mean."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lakehead.errors import (
    BucketNotFound,
    ConfigError,
    LakeheadError,
    ObjectNotFound,
    PreconditionFailed,
    StorageUnavailable,
)

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

CREDENTIALS_HINT = "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run `aws configure`."

_NO_CREDENTIALS = {
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_TRY_AGAIN = {
    "InternalError",
    "RequestTimeout",
    "RequestTimeTooSkewed",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}


@contextlib.contextmanager
def translated(
    bucket: str, key: str = "", *, conditional: bool = False, version_id: str = "", passing: tuple[str, ...] = ()
) -> Iterator[None]:
    """Turn botocore's errors into Lakehead's; those whose code is in `passing` pass as they are.

    `conditional`: the request had a condition, so "not found" also means that the condition does not hold.
    `version_id`: what S3 answers to one that it cannot have made, 400, also means "not found".
    """
    try:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        yield
        return
    where = {"bucket": bucket or None, "key": key or None, "version_id": version_id or None}
    try:
        yield
    except ClientError as error:
        if _code(error) in passing:
            raise
        raise _of_answer(error, where, conditional=conditional) from error
    except BotoCoreError as error:
        raise _of_client(error, where) from error
    except Boto3Error as error:  # upload_file wraps what it met
        met = error.__context__
        if isinstance(met, ClientError):
            raise _of_answer(met, where, conditional=conditional) from error
        raise StorageUnavailable(f"S3 did not answer: {error}", hint="Try again.", **where) from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _of_answer(error: ClientError, where: dict[str, str | None], *, conditional: bool) -> LakeheadError:
    code = _code(error)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    message = f"S3 answers {code}: {error.response.get('Error', {}).get('Message', '')}"
    if code == "NoSuchBucket":
        return _make(BucketNotFound, "no such bucket", "Create the bucket, or look at its name.", where)
    if status in (409, 412) and code in ("PreconditionFailed", "412", "ConditionalRequestConflict", "409"):
        return _make(PreconditionFailed, "the object is another, or there is one already", "", where)
    if status == 404 or code == "NoSuchVersion" or (status == 400 and where["version_id"]):
        if conditional:
            return _make(PreconditionFailed, "the object is gone", "", where)
        return _make(ObjectNotFound, "no such object, or no such version of it", "", where)
    if code in _NO_CREDENTIALS:
        return _make(ConfigError, message, CREDENTIALS_HINT, where)
    if status == 403:
        return _make(ConfigError, message, "Give this identity access to the bucket and the key.", where)
    if status >= 500 or status == 429 or code in _TRY_AGAIN:
        return _make(StorageUnavailable, message, "Try again.", where)
    return _make(ConfigError, message, "Look at the request and at the bucket's settings.", where)


def _of_client(error: Exception, where: dict[str, str | None]) -> LakeheadError:
    from botocore import exceptions

    missing = (
        exceptions.NoCredentialsError,
        exceptions.PartialCredentialsError,
        exceptions.CredentialRetrievalError,
        exceptions.TokenRetrievalError,
        exceptions.ProfileNotFound,
    )
    if isinstance(error, missing):
        return _make(ConfigError, f"no usable AWS credentials: {error}", CREDENTIALS_HINT, where)
    if isinstance(error, exceptions.ParamValidationError | exceptions.InvalidRegionError | ValueError):
        return _make(ConfigError, f"S3 cannot be asked so: {error}", "Look at the address and the region.", where)
    return _make(StorageUnavailable, f"S3 did not answer: {error}", "Look at the network, then try again.", where)


def _make(kind: type[LakeheadError], message: str, hint: str, where: dict[str, str | None]) -> LakeheadError:
    return kind(message, hint=hint, **where)
