"""AWS as the commands against a deployed environment ask it: every call bounded, every error with what to do next."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cached_property
from threading import Lock
from typing import Any

from lakehead.config import LakeConfig
from lakehead.errors import ConfigError, LakeheadError, NotFound, StorageUnavailable, UsageError
from lakehead.storage.s3_errors import CREDENTIALS_HINT

CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0
ATTEMPTS = 5

_NO_CREDENTIALS = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_REFUSED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}


class Expected(Exception):
    """An error that the caller said it expects. `code` and `message` are AWS's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class Aws:
    """The account and Region of an environment. Safe from several threads."""

    def __init__(self, config: LakeConfig) -> None:
        self._config = config
        self._clients: dict[str, Any] = {}
        self._lock = Lock()

    def client(self, service: str) -> Any:
        """The boto3 client of a service, made on first use. Raises ConfigError."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._made(service)
            return self._clients[service]

    def call(self, service: str, method: str, *, expected: tuple[str, ...] = (), **arguments: Any) -> Any:
        """Ask a service one thing. Errors are Lakehead's; those whose code is in `expected` are Expected."""
        with explained(service, expected):
            return getattr(self.client(service), method)(**arguments)

    def pages(self, service: str, method: str, **arguments: Any) -> Iterator[Any]:
        """Ask a service for a list, page by page."""
        with explained(service):
            yield from self.client(service).get_paginator(method).paginate(**arguments)

    @cached_property
    def identity(self) -> str:
        """Who asks, as an ARN."""
        return str(self.call("sts", "get_caller_identity")["Arn"])

    @property
    def region(self) -> str:
        """The Region."""
        return str(self.client("sts").meta.region_name)

    @property
    def account(self) -> str:
        """The account's number."""
        return self.identity.split(":")[4]

    @property
    def partition(self) -> str:
        """`aws`, `aws-cn`, ..."""
        return self.identity.split(":")[1]

    def _made(self, service: str) -> Any:
        try:
            import boto3
            from botocore.config import Config
        except ImportError as error:
            hint = 'Run: pip install "lakehead[aws]"'
            raise ConfigError("a deployed environment needs boto3, which is not installed", hint=hint) from error
        bounds = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        )
        with explained(service):
            session = boto3.Session(profile_name=self._config.profile or None, region_name=self._config.region or None)
            make: Any = session.client
            return make(service, config=bounds, endpoint_url=self._config.endpoint_url or None)


@contextlib.contextmanager
def explained(service: str, expected: tuple[str, ...] = ()) -> Iterator[None]:
    """Turn botocore's errors into Lakehead's; those whose code is in `expected` into Expected."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = _code(error)
        if code in expected:
            raise Expected(code, error.response["Error"].get("Message", "")) from error
        raise _of_answer(error, service) from error
    except BotoCoreError as error:
        raise _of_client(error, service) from error


def _code(error: Any) -> str:
    """A ClientError's code, without the namespace that some services put before it."""
    return str(error.response.get("Error", {}).get("Code", "")).rpartition("#")[2]


def _of_answer(error: Any, service: str) -> LakeheadError:
    code, answered = _code(error), error.response.get("Error", {}).get("Message", "")
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    message = f"{service} answers {code}: {answered}"
    if code in _NO_CREDENTIALS:
        return ConfigError(message, hint=CREDENTIALS_HINT)
    if code in _REFUSED:
        return ConfigError(message, hint="Give this identity the permission that the message names.")
    if "DoesNotExist" in code or "NotFound" in code:
        return NotFound(message, hint="Is the environment deployed in this account and Region? lakehead deploy outputs")
    if status >= 500 or status == 429 or "Throttl" in code or "TooManyRequests" in code:
        return StorageUnavailable(message, hint="Try again.")
    return UsageError(message, hint="AWS refuses what was asked: look at the names and settings of this environment.")


def _of_client(error: Exception, service: str) -> LakeheadError:
    from botocore import exceptions

    if isinstance(error, exceptions.NoRegionError):
        return ConfigError("no AWS Region is set", hint='Write region = "eu-central-1" below [env.NAME].')
    missing = (
        exceptions.NoCredentialsError,
        exceptions.PartialCredentialsError,
        exceptions.CredentialRetrievalError,
        exceptions.TokenRetrievalError,
        exceptions.ProfileNotFound,
    )
    if isinstance(error, missing):
        return ConfigError(f"no usable AWS credentials: {error}", hint=CREDENTIALS_HINT)
    return StorageUnavailable(f"{service} did not answer: {error}", hint="Look at the network, then try again.")
