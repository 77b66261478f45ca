"""The rules between keys that a grammar cannot say: what excludes what, what must be there, which hosts get a key.

Knows plain values only, of which any may be of a wrong type (the grammar says that), so that all problems are found at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from qwenbuild.catalog import Family, example, units
from qwenbuild.manifest import fields
from qwenbuild.manifest.addresses import base_url_problem, remote_problem, webhook_problem, workspace_problem
from qwenbuild.manifest.credentials import looks_secret
from qwenbuild.manifest.findings import Finding, Path
from qwenbuild.manifest.grammar import BUILT_IN, Types
from qwenbuild.manifest.names import KEY_VARIABLE, NOT_BUILT, RESERVED
from qwenbuild.manifest.paths import not_below

_NAMELESS: Mapping[str, Any] = {}


def broken(data: Mapping[str, Any], types: Types = BUILT_IN) -> Iterator[Finding]:
    """Every rule that the manifest breaks, its built-in refusals included."""
    providers = dict.fromkeys([*_mapping(data.get("providers")), *types.names])
    yield from _top(data)
    yield from _provider_known(data.get("provider"), ("provider",), providers)
    yield from _budget(data)
    for name, block in _blocks(data, "providers"):
        yield from _provider(name, block, types)
    yield from _shared(_mapping(data.get("defaults")), ("defaults",))
    for name, block in _blocks(data, "assets"):
        yield from _asset(block, ("assets", name), providers)
    yield from _not_built_at_top(data)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else _NAMELESS


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _blocks(data: Mapping[str, Any], key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return ((name, block) for name, block in _mapping(data.get(key)).items() if isinstance(block, dict))


# ---------------------------------------------------------------- top level


def _top(data: Mapping[str, Any]) -> Iterator[Finding]:
    yield from _output_root(data.get("output"))
    templates = data.get("templates")
    if isinstance(templates, str) and not_below(templates):
        yield Finding("path", f"`templates` {not_below(templates)}", ("templates",), "a folder inside of the manifest's")
    yield from _reserved(_mapping(data.get("vars")), ("vars",), "a variable")
    remote = data.get("remote")
    if isinstance(remote, str) and remote_problem(remote):
        yield Finding("remote", f"`remote` {remote_problem(remote)}", ("remote",), "such as s3://bucket/prefix")


def _output_root(output: Any) -> Iterator[Finding]:
    if not isinstance(output, str) or not output.strip():
        return
    reason = not_below(output)
    if not reason and not [part for part in output.split("/") if part not in ("", ".")]:
        reason = "is the manifest's own folder; files in it could be taken for pictures"
    if reason:
        yield Finding("output-root", f"`output` {reason}", ("output",), 'a folder below it, such as "assets"')


def _budget(data: Mapping[str, Any]) -> Iterator[Finding]:
    """A unit that no price has would bound nothing, silently."""
    names = dict.fromkeys([*units(), *(unit for _, block in _blocks(data, "models") for unit in _priced(block))])
    for unit in _mapping(data.get("budget")):
        if unit not in names:
            message = f"no price is in the unit {fields.kind(unit)}"
            yield Finding("unit", message, ("budget", unit), fields.near(unit, list(names)), True)


def _priced(block: Mapping[str, Any]) -> Iterator[str]:
    """The units of every price in a block of `models:`."""
    for name, value in block.items():
        if name in ("price", "price_extended", "price_input"):
            yield from _mapping(value)
    for inner in (*_list(block.get("price_tiers")), *_mapping(block.get("price_by_region")).values()):
        yield from _priced(_mapping(inner))


def _provider_known(provider: Any, path: Path, names: Mapping[str, Any]) -> Iterator[Finding]:
    if isinstance(provider, str) and provider.strip() and provider not in names:
        yield Finding("provider", f"there is no provider {fields.kind(provider)}", path, fields.near(provider, list(names)))


# ---------------------------------------------------------------- providers


def _provider(name: str, block: Mapping[str, Any], types: Types) -> Iterator[Finding]:
    path: Path = ("providers", name)
    row = types.row(block.get("type", name))
    if "type" not in block and name not in types.names:
        hint = fields.near(name, types.names)
        yield Finding("missing", f"`type` is missing: `{name[:60]}` is no built-in type", (*path, "type"), hint, True)
    yield from _api_key_env(block.get("api_key_env"), (*path, "api_key_env"))
    yield from _address("webhook", block.get("webhook"), path, webhook_problem)
    if row is not None:
        yield from _address("base_url", block.get("base_url"), path, lambda url: base_url_problem(url, row.name, row.hosts))
        yield from _workspace(row, block, path)
        yield from _foreign(row, block, path, types)


def _workspace(row: Family, block: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    """The id becomes part of a host's name; beside an address it would say nothing."""
    if row.workspaces:
        yield from _address("workspace", block.get("workspace"), path, workspace_problem)
        if "workspace" in block and "base_url" in block:
            message = "`workspace` and `base_url` both say which host is asked"
            yield Finding("workspace", message, (*path, "workspace"), "leave one of them out", True)


def _foreign(row: Family, block: Mapping[str, Any], path: Path, types: Types) -> Iterator[Finding]:
    """Settings of another API, and values of another's. What takes any parameter stands in for any API: it takes them all."""
    for key in dict.fromkeys(key for each in types.rows for key in each.settings if key in block):
        owners = types.owners(key)
        if row not in owners and not row.any_param:
            only = ", ".join(owner.name for owner in owners)
            yield Finding("setting", f"`{key}` is a setting of {only}, not of {row.name}", (*path, key), "remove it", True)
        elif row in owners and len(owners) > 1:
            yield from _own_value(row, key, block[key], path)


def _own_value(row: Family, key: str, value: Any, path: Path) -> Iterator[Finding]:
    """A value that another type has under this key."""
    words = row.settings[key].get("values", ())
    if words and value not in words:
        message = f"`{key}` of {row.name} must be one of {', '.join(words)}, not {fields.kind(value)}"
        yield Finding("choice", message, (*path, key), fields.near(str(value), words))


def _address(key: str, value: Any, path: Path, check: Any) -> Iterator[Finding]:
    reason, hint = check(value) if isinstance(value, str) and value.strip() else ("", "")
    if reason:
        yield Finding(key.replace("_", "-"), f"`{key}` {reason}", (*path, key), hint)


def _api_key_env(value: Any, path: Path) -> Iterator[Finding]:
    if not isinstance(value, str) or KEY_VARIABLE.fullmatch(value):
        return
    hint = f"such as {example().key_env}; the key itself goes into the environment or .env"
    if looks_secret(value) or not value.replace("_", "").isalnum():
        yield Finding(
            "key-in-manifest", "this is not the name of a variable; a key itself never stands in a manifest", path, hint
        )
    else:
        yield Finding("api-key-env", "`api_key_env` must be the name of a variable ending in _API_KEY", path, hint)


# ---------------------------------------------------------------- assets


def _asset(block: Mapping[str, Any], path: Path, providers: Mapping[str, Any]) -> Iterator[Finding]:
    yield from _prompt(block, path)
    yield from _shared(block, path)
    if "provider" in block:
        yield from _provider_known(block["provider"], (*path, "provider"), providers)
    if "matrix" in block:
        yield from _reserved(_mapping(block["matrix"]), (*path, "matrix"), "an axis")
    if "include" in block or "exclude" in block:
        yield from _combinations(block, path)
    if isinstance(block.get("foreach"), list):
        yield from _rows(block["foreach"], (*path, "foreach"))


def _prompt(block: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    if "prompt" in block and "prompt_file" in block:
        yield Finding(
            "exclusive", "`prompt` and `prompt_file` exclude each other", (*path, "prompt_file"), "keep one of them", True
        )
    if "prompt" not in block and "prompt_file" not in block:
        yield Finding("missing", "`prompt` is missing", (*path, "prompt"), "write `prompt:` or `prompt_file:`", True)


def _shared(block: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    """What an asset and `defaults` have in common."""
    if "outputs" in block:
        for other in ("output", "steps"):
            if other in block:
                message = f"`{other}` and `outputs` exclude each other"
                yield Finding("exclusive", message, (*path, "outputs"), f"`{other}` goes into an item of `outputs`", True)
    if "vars" in block:
        yield from _reserved(_mapping(block["vars"]), (*path, "vars"), "a variable")
    for key in _PARTS:
        if key in block and key in NOT_BUILT:
            yield _not_built(key, (*path, key))


def _reserved(names: Mapping[str, Any], path: Path, what: str) -> Iterator[Finding]:
    if RESERVED in names:
        message = f"{what} cannot be called `{RESERVED}`: that is the asset's name in every template"
        yield Finding("reserved", message, (*path, RESERVED), "call it something else", True)


def _combinations(block: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    axes = _mapping(block.get("matrix"))
    for number, item in enumerate(_list(block.get("include"))):
        for axis in axes:
            if isinstance(item, dict) and axis not in item:
                message = f"an item of `include` names every axis; `{axis[:60]}` is missing"
                yield Finding("include", message, (*path, "include", number), fields.listed("the axes are", list(axes)))
        for key in _mapping(item):
            if key not in axes:
                hint = fields.near(key, list(axes)) if axes else "this asset has no `matrix`"
                yield Finding("include", f"`{key[:60]}` is no axis", (*path, "include", number, key), hint, True)
    columns = "foreach" in block
    for number, item in enumerate(_list(block.get("exclude"))):
        for key in _mapping(item):
            if key not in axes and not columns:
                hint = fields.near(key, list(axes)) if axes else "this asset has no `matrix`"
                yield Finding("exclude", f"`{key[:60]}` is no axis", (*path, "exclude", number, key), hint, True)
        if item == {}:
            yield Finding("exclude", "an empty item would leave out everything", (*path, "exclude", number), "name an axis")


def _rows(rows: list[Any], path: Path) -> Iterator[Finding]:
    for number, row in enumerate(rows):
        yield from _reserved(_mapping(row), (*path, number), "a column")


# ---------------------------------------------------------------- not built yet

_PARTS = ("inputs", "steps", "outputs", "expect")


def _not_built(key: str, path: Path) -> Finding:
    hint = f"remove it, or keep it as `x-{key}` until then"
    return Finding("not-built-yet", f"`{key}` is not built yet in this version of qwenbuild", path, hint, True)


def _not_built_at_top(data: Mapping[str, Any]) -> Iterator[Finding]:
    if "atlases" in NOT_BUILT and data.get("atlases"):
        yield _not_built("atlases", ("atlases",))
    if "provenance" in NOT_BUILT and data.get("provenance", "off") != "off":
        yield _not_built("provenance", ("provenance",))
