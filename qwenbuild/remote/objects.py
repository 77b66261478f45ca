"""A shared cache in an object store: S3, Google Cloud Storage, Azure. Its calls are synchronous, for threads.

Knows no digest and no key. Credentials are the store's own: environment, instance role, or a profile where boto3 is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotFoundError,
    NotSupportedError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import from_url

from qwenbuild.remote.store import OBJECT_BYTES_MAX, RemoteError, StoredObject

RETRY: Any = {"max_retries": 2, "retry_timeout": timedelta(seconds=30)}
"""A store that answers nonsense is asked three times and not for minutes."""


class Objects:
    """One bucket and prefix."""

    def __init__(self, url: str, environ: Mapping[str, str]) -> None:
        self.url = url
        options: dict[str, Any] = {"timeout": "60s", "connect_timeout": "10s"}
        config: dict[str, Any] = {}
        if urlsplit(url).scheme == "s3":
            endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or environ.get("AWS_ENDPOINT")
            if endpoint:
                config["endpoint"] = endpoint
                options["allow_http"] = endpoint.startswith("http://")
        provider = _profile(url, environ)
        more = {"credential_provider": provider} if provider is not None else {}
        make: Any = from_url
        try:
            self._store = make(url, config=config or None, client_options=options, retry_config=RETRY, **more)
        except (BaseError, ValueError, TypeError) as error:
            raise RemoteError(f"the shared cache {url} cannot be opened: {_first(error)}", code="remote-url") from error

    def get(self, name: str) -> bytes | None:
        """The bytes of an object."""
        try:
            answer = obstore.get(self._store, name)
            if answer.meta["size"] > OBJECT_BYTES_MAX:
                raise RemoteError(f"{name} in {self.url} is too large", code="remote-size")
            return bytes(answer.bytes())
        except (NotFoundError, FileNotFoundError) as error:
            self._absent(error)
            return None
        except (BaseError, OSError) as error:
            raise self._failed(name, error) from error

    def size(self, name: str) -> int | None:
        """The size of an object in bytes."""
        try:
            return int(obstore.head(self._store, name)["size"])
        except (NotFoundError, FileNotFoundError) as error:
            self._absent(error)
            return None
        except (BaseError, OSError) as error:
            raise self._failed(name, error) from error

    def put(self, name: str, data: bytes) -> None:
        """Write or overwrite."""
        try:
            obstore.put(self._store, name, data, use_multipart=False)
        except (BaseError, OSError) as error:
            raise self._failed(name, error) from error

    def create(self, name: str, data: bytes) -> bool | None:
        """A conditional PUT, exact where the store has one."""
        try:
            obstore.put(self._store, name, data, mode="create", use_multipart=False)
        except (AlreadyExistsError, FileExistsError):
            return False
        except (NotSupportedError, NotImplementedError):
            return None
        except (BaseError, OSError) as error:
            if "501" in str(error) or "NotImplemented" in str(error):
                return None
            raise self._failed(name, error) from error
        return True

    def delete(self, name: str) -> None:
        """Remove an object."""
        try:
            obstore.delete(self._store, name)
        except (NotFoundError, FileNotFoundError):
            return
        except (BaseError, OSError) as error:
            raise self._failed(name, error) from error

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Every object below a prefix."""
        try:
            for page in obstore.list(self._store, prefix):
                for item in page:
                    yield StoredObject(str(item["path"]), int(item["size"]), item["last_modified"].timestamp())
        except (BaseError, OSError) as error:
            raise self._failed(prefix, error) from error

    def close(self) -> None:
        """The store closes its connections itself."""

    def _absent(self, error: Exception) -> None:
        """A missing object is an answer; a missing bucket is an error."""
        if "NoSuchBucket" in str(error) or "ContainerNotFound" in str(error):
            raise RemoteError(f"there is no bucket behind {self.url}", code="remote-missing") from error

    def _failed(self, name: str, error: Exception) -> RemoteError:
        if isinstance(error, RemoteError):
            return error
        text = str(error)
        denied = isinstance(error, PermissionDeniedError | UnauthenticatedError | PermissionError)
        if denied or any(
            word in text for word in ("SignatureDoesNotMatch", "InvalidAccessKeyId", "ExpiredToken", "AccessDenied")
        ):
            return RemoteError(
                f"the shared cache {self.url} refused the credentials: {_first(error)}", code="remote-credentials"
            )
        if "NoSuchBucket" in text:
            return RemoteError(f"there is no bucket behind {self.url}", code="remote-missing")
        return RemoteError(f"the shared cache {self.url} did not answer for {name}: {_first(error)}", code="remote-io")


def _profile(url: str, environ: Mapping[str, str]) -> Any:
    """boto3's credentials where a profile is named and no key is: profiles are its own format."""
    if urlsplit(url).scheme != "s3" or "AWS_PROFILE" not in environ or environ.get("AWS_ACCESS_KEY_ID"):
        return None
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ModuleNotFoundError as error:
        raise RemoteError(
            "AWS_PROFILE needs boto3: pip install boto3, or set AWS_ACCESS_KEY_ID", code="missing-extra"
        ) from error
    return Boto3CredentialProvider()


def _first(error: Exception) -> str:
    """The first line of a store's error, cut: the rest is its internals."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]
