"""The error tree: what ends a command, and what a provider can answer.

Knows nothing of where an error is shown; the command line is the only place that ends the program.

    QwenbuildError                 ends the command with `exit_code`
     ├─ InputError          2      manifest, template, data file, lockfile or usage; carries Problems
     ├─ NotUpToDate         3      --locked, --check
     ├─ GateStop            4      consent, budget, brake, quota
     ├─ CredentialsError    5      key missing or refused
     └─ CacheError          1      the cache cannot be trusted or written; nothing was spent

    ProviderError                  raised by a provider's `submit` and `collect`; the axis is "did that cost me?"
     ├─ Refused             no     content or parameters; remembered for this key
     ├─ Throttled           no     429; try again after `retry_after` seconds
     ├─ FailedAtProvider    no     the provider's own failure; a new attempt may follow
     ├─ Unavailable         no     the request never arrived
     ├─ AccountStop         no     credentials, quota, arrears, model: stop submitting for this account and model
     ├─ Uncertain           maybe  sent, and no answer that can be read; never resent blindly
     ├─ Lost                maybe  the provider no longer knows the ticket, or its link died
     ├─ Waiting             no     `collect` ran out of its time while the provider still works; the ticket lives on
     ├─ NotFetched          yes    it was made, and its link has not given the picture yet; ticket and link live on
     └─ BadPicture          yes    a whole picture came, and not the one that was asked for; its bytes are kept
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file of the user's. Lines and columns count from 1, columns in code points."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with what the user wrote, or worth saying about it.

    `code` is a stable kebab-case word that a user can search for; `path` is the place in the manifest
    such as `assets.potions.prompt`; `snippet` the line of the file, already masked where it looks like a key;
    `hint` the near miss or the command that mends it.
    """

    code: str
    message: str
    mark: Mark | None = None
    path: str = ""
    snippet: str = ""
    hint: str = ""


class QwenbuildError(Exception):
    """Ends the command. `exit_code` is the documented table; `problems` may hold several findings."""

    exit_code = 1

    def __init__(self, message: str, *, code: str = "error", problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.problems = problems or (Problem(code, message),)


class InputError(QwenbuildError):
    """Usage, manifest, template, data file or lockfile: nothing was spent."""

    exit_code = 2


class NotUpToDate(QwenbuildError):
    """`--locked` or `--check` found something to do."""

    exit_code = 3


class GateStop(QwenbuildError):
    """Stopped by budget, brake, quota or missing consent (`code` says which)."""

    exit_code = 4


class CredentialsError(QwenbuildError):
    """A key is missing or was refused."""

    exit_code = 5


class CacheError(QwenbuildError):
    """The cache or the journal cannot be read or written. Never the same as a miss."""

    exit_code = 1


class ProviderError(Exception):
    """A provider's answer that is not a picture. `code` and `request_id` are the vendor's own words.

    `data` is what came instead of a picture, where it is worth keeping.
    """

    charged = "no"

    def __init__(self, message: str, *, code: str = "", request_id: str = "", data: bytes = b"") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.request_id = request_id
        self.data = data


class Refused(ProviderError):
    """Content or parameters were refused; asking again with the same key would be refused again."""


class Throttled(ProviderError):
    """Too many requests. `retry_after` is in seconds, None when the server named none.

    `narrow` tells that the in-flight limit, not the rate, was hit.
    """

    def __init__(
        self, message: str, *, retry_after: float | None = None, narrow: bool = False, code: str = "", request_id: str = ""
    ) -> None:
        super().__init__(message, code=code, request_id=request_id)
        self.retry_after = retry_after
        self.narrow = narrow


class FailedAtProvider(ProviderError):
    """The provider's own failure, not charged; a new attempt may be made a few times."""


class Unavailable(ProviderError):
    """The request never arrived (refused, DNS, TLS, connect timeout); the same attempt may be sent again."""


class AccountStop(ProviderError):
    """Nothing more can be submitted for this account and model. `kind`: credentials, quota, arrears, model, endpoint."""

    def __init__(self, message: str, *, kind: str, code: str = "", request_id: str = "") -> None:
        super().__init__(message, code=code, request_id=request_id)
        self.kind = kind


class Uncertain(ProviderError):
    """Sent, and nothing readable came back: perhaps charged."""

    charged = "maybe"


class Lost(ProviderError):
    """The provider no longer knows the ticket, or its link died: perhaps charged."""

    charged = "maybe"


class Waiting(ProviderError):
    """`collect` gave up waiting while the provider still works; the ticket stays and the next build resumes it."""


NOT_FETCHED = "paid for, not yet fetched"
"""What is said of such a picture wherever it is spoken of."""


class NotFetched(ProviderError):
    """The picture was made and is paid for, and its link has not given it yet: it is asked again until the link's time is over.

    `url` is the link, "" where none was named; `gone`: provider or storage says, in its own words, that there is nothing any
    more, which counts once the link's time is over; `stuck`: asking again is of no use before a person has changed something;
    `retry_after` is how many seconds the storage asks to wait.
    """

    charged = "yes"

    def __init__(
        self,
        why: str,
        *,
        url: str,
        gone: bool = False,
        stuck: bool = False,
        retry_after: float | None = None,
        data: bytes = b"",
    ) -> None:
        super().__init__(f"{NOT_FETCHED}: {why}", code="not-fetched", data=data)
        self.retry_after = retry_after
        self.why = why
        self.url = url
        self.gone = gone
        self.stuck = stuck


class BadPicture(ProviderError):
    """A whole picture came, and it is not the one asked for (type, size). `data` is kept, it was paid for."""

    charged = "yes"
