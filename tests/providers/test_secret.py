"""A credential cannot be printed by accident, and no text that leaves holds one."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle
import traceback

import pytest

from qwenbuild.catalog import Catalog
from qwenbuild.errors import CredentialsError, InputError
from qwenbuild.model import ProviderSettings
from qwenbuild.providers import Secret, build_provider, redact
from qwenbuild.transport.secret import vendor_words

VALUE = "canary-value-1234567890"


def test_no_way_of_printing_gives_the_value() -> None:
    secret = Secret(VALUE)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>40}", "%s" % secret, repr([secret]), repr({"k": secret})]  # noqa: UP031
    assert all(VALUE not in text for text in shown)
    assert VALUE.encode() not in pickle.dumps(secret)
    assert pickle.loads(pickle.dumps(secret)) == "***"  # noqa: S301
    assert VALUE not in str(copy.deepcopy(secret))
    assert VALUE not in json.dumps({"key": str(secret)})
    assert not hasattr(secret, "__dict__")
    assert secret.reveal() == VALUE


def test_a_dataclass_with_a_secret_is_quiet() -> None:
    @dataclasses.dataclass
    class Holder:
        key: Secret

    held = Holder(Secret(VALUE))
    assert VALUE not in repr(held) + str(dataclasses.asdict(held))


def test_a_traceback_and_a_log_line_are_redacted() -> None:
    secret = Secret(VALUE)
    try:
        raise RuntimeError(f"asked with {secret.reveal()}")
    except RuntimeError:
        assert VALUE not in redact(traceback.format_exc())
    record = logging.LogRecord("x", 10, "f", 1, "key %s", (secret,), None)
    assert VALUE not in record.getMessage()


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("key sk-abcdef1234567890 refused", "abcdef"),
        ("afk_abcdef1234567890", "abcdef"),
        ("Authorization: Bearer abc.def-ghi", "abc.def"),
        ("{'authorization': 'Bearer abc.def-ghi'}", "abc.def"),
        ("x-api-key: zzz999", "zzz999"),
        ("Key 1234567890abcdef1234", "1234567890abcdef"),
        ("GET https://b.oss-cn-x.aliyuncs.com/a.png?Expires=1&OSSAccessKeyId=ID&Signature=S%2B", "OSSAccessKeyId"),
        ("Signature=S%2BG%3D&x=1", "S%2BG"),
        ("X-Amz-Signature=abcdef", "abcdef"),
    ],
)
def test_what_looks_like_a_credential_is_taken_out(text: str, without: str) -> None:
    assert without not in redact(text)
    assert "***" in redact(text)


@pytest.mark.parametrize(
    "text", ["Invalid API key provided.", "a risk-taking knight, mask-like", "the key is missing", "https://a.example/x"]
)
def test_ordinary_words_stay(text: str) -> None:
    assert redact(text) == text


def test_a_servers_words_are_one_short_line() -> None:
    said = vendor_words("bad\x1b[31m \n thing\x00 " + "x" * 900)
    assert "\x1b" not in said
    assert "\n" not in said
    assert len(said) == 400


def test_a_missing_key_names_its_variable_and_the_file() -> None:
    with pytest.raises(CredentialsError, match=r"DASHSCOPE_API_KEY.*\.env"):
        build_provider(ProviderSettings("dashscope", "dashscope"), Catalog.load(), {})
    with pytest.raises(CredentialsError, match="TEAM_API_KEY"):
        build_provider(
            ProviderSettings("d", "dashscope", api_key_env="TEAM_API_KEY"), Catalog.load(), {"DASHSCOPE_API_KEY": "sk-x"}
        )


@pytest.mark.parametrize("value", ["sk-a b", "sk-a\nb", "sk-ключ"])
def test_a_malformed_key_is_named_and_not_shown(value: str) -> None:
    with pytest.raises(CredentialsError) as caught:
        build_provider(ProviderSettings("dashscope", "dashscope"), Catalog.load(), {"DASHSCOPE_API_KEY": value})
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["http://evil.example/api/v1", "https://user:pw@evil.example/", "ftp://x/", "nonsense", "https:///x"]
)
def test_an_address_that_would_expose_the_key_is_refused(address: str) -> None:
    environ = {"DASHSCOPE_API_KEY": "sk-x", "QWENBUILD_DASHSCOPE_BASE_URL": address}
    with pytest.raises(InputError):
        build_provider(ProviderSettings("dashscope", "dashscope"), Catalog.load(), environ)


def test_a_manifest_cannot_send_the_key_elsewhere() -> None:
    settings = ProviderSettings("dashscope", "dashscope", base_url="https://evil.example/api/v1")
    with pytest.raises(InputError):
        build_provider(settings, Catalog.load(), {"DASHSCOPE_API_KEY": "sk-x"})


async def test_accounts_are_told_apart_without_giving_a_key_away() -> None:
    def account(key: str, region: str = "singapore") -> str:
        settings = ProviderSettings("d", "dashscope", region=region, api_key_env="D_API_KEY")
        return build_provider(settings, Catalog.load(), {"D_API_KEY": key}).account

    accounts = {account("sk-one-1234"), account("sk-two-1234"), account("sk-one-1234", "beijing")}
    assert len(accounts) == 3
    assert account("sk-one-1234") in accounts
    assert not any("sk-" in name for name in accounts)
