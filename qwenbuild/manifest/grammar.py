"""The grammar with the settings, types and parameters of the families in use: from their rows, plug-ins' among them.

Knows no family's name. The grammar of the built-in families is made once; another is made for a manifest that names a plug-in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, get_type_hints

from pydantic import TypeAdapter, with_config
from typing_extensions import TypedDict

from qwenbuild import plugins
from qwenbuild.catalog import FAMILIES, STAMP, Family
from qwenbuild.errors import InputError
from qwenbuild.manifest import fields, schema
from qwenbuild.manifest.names import STEP_KINDS
from qwenbuild.manifest.schema import STRICT, ManifestBlock, doc

_PROVIDER_KEYS = (
    "type", "region", "workspace", "mode", "model", "params", "api_key_env", "limits", "timeout", "webhook", "base_url",
    "dialect", "weights", "allow_unknown_model", "allow_unlisted_size",
)  # fmt: skip
"""The order in which editors offer a provider's keys; a plug-in's own follow."""

_typed_dict: Any = TypedDict
_annotated: Any = Annotated
_dict: Any = dict


Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Types:
    """The types of providers that a manifest may name: `names` of all that are known, `rows` of those that it names."""

    names: tuple[str, ...]
    plugged: tuple[Family, ...] = ()

    @property
    def rows(self) -> tuple[Family, ...]:
        """The built-in families, and the plug-ins that are named."""
        return (*FAMILIES.built_in().values(), *self.plugged)

    def owners(self, key: str) -> list[Family]:
        """The families that have a setting of their own under this key."""
        return [row for row in self.rows if key in row.settings]

    def row(self, name: Any) -> Family | None:
        """The row of one type, None for any other value."""
        return next((row for row in self.rows if row.name == name), None)


BUILT_IN = Types(fields.TYPES)


def types_of(data: Mapping[str, Any]) -> Types:
    """The types that a manifest's plain values name. Plug-ins are looked for when a name is none of the built-in ones.

    A plug-in that cannot be used is left out; `broken_plugins` says so.
    """
    unknown = [name for name in dict.fromkeys(name for name, _ in _named(data)) if name not in fields.TYPES]
    return _with(tuple(name for name in unknown if FAMILIES.recorded(name))) if unknown else BUILT_IN


def broken_plugins(data: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    """A sentence on each plug-in that a manifest names and that cannot be used, and where it names it."""
    for name, path in _named(data):
        try:
            FAMILIES.get(name)
        except InputError as error:
            yield str(error), path


def all_types() -> Types:
    """Every type and step that is installed, for an editor's schema. Raises InputError for a plug-in that cannot be used."""
    for step in plugins.names("step"):
        plugins.find("step", step, STEP_KINDS)
    names = plugins.names("provider")
    return _with(names) if names else BUILT_IN


@cache
def _with(names: tuple[str, ...]) -> Types:
    """The built-in types and plug-ins; all that are installed are known, for near misses."""
    return Types((*fields.TYPES, *plugins.names("provider")), tuple(FAMILIES[name] for name in names))


def _named(data: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    """The words that stand where a type may, and where: of blocks, models, and providers that are no block."""
    blocks = _blocks(data.get("providers"))
    names: list[tuple[Any, Path]] = [(block.get("type", name), ("providers", name, "type")) for name, block in blocks.items()]
    names += [(block.get("family"), ("models", name, "family")) for name, block in _blocks(data.get("models")).items()]
    used: list[tuple[Any, Path]] = [(data.get("provider"), ("provider",))]
    used += [(block.get("provider"), ("assets", name, "provider")) for name, block in _blocks(data.get("assets")).items()]
    names += [(name, path) for name, path in used if isinstance(name, str) and name not in blocks]
    return ((name, path) for name, path in names if isinstance(name, str) and name)


def _blocks(value: Any) -> dict[str, Mapping[str, Any]]:
    return {name: block for name, block in value.items() if isinstance(block, dict)} if isinstance(value, dict) else {}


# ---------------------------------------------------------------- made of rows


@cache
def grammar(types: Types) -> TypeAdapter[ManifestBlock]:
    """Validates a whole manifest in one call."""
    kind = fields.words(*types.names)
    changed = {"type": kind, **({"params": _params(types.plugged)} if types.plugged else {})}
    provider = _block(schema.ProviderBlock, _retyped(schema.ProviderBlock, changed), _settings(types), _PROVIDER_KEYS)
    model = _block(schema.ModelBlock, _retyped(schema.ModelBlock, {"family": kind}))
    parts = {"providers": _dict[schema.ProviderName, provider], "models": _dict[str, model]}
    return TypeAdapter(_block(ManifestBlock, _retyped(ManifestBlock, {**parts, **_assets(changed)})))


def _assets(changed: Mapping[str, Any]) -> dict[str, Any]:
    """The blocks with drawing parameters, where these are others than usual."""
    if "params" not in changed:
        return {}
    params = {"params": changed["params"]}
    asset = _block(schema.AssetBlock, _retyped(schema.AssetBlock, params))
    defaults = _block(schema.DefaultsBlock, _retyped(schema.DefaultsBlock, params))
    return {"assets": _dict[schema.AssetName, asset], "defaults": defaults}


def _settings(types: Types) -> dict[str, Any]:
    """The keys that only some types know."""
    keys = dict.fromkeys(key for row in types.rows for key in row.settings)
    return {key: _setting(key, types.owners(key)) for key in keys}


def _setting(key: str, owners: Sequence[Family]) -> Any:
    """One such key; where several types have it, each one's own values are a rule, not grammar."""
    described = [row.settings[key] for row in owners]
    words = "; ".join(f"{row.name}: {row.settings[key].get('doc', '')}" for row in owners)
    if len(described) == 1:
        return _annotated[fields.setting(described[0]), doc(words)]
    if all(each["type"] == "choice" for each in described):
        return _annotated[fields.words(*dict.fromkeys(word for each in described for word in each["values"])), doc(words)]
    return _annotated[fields.Scalar, doc(words)]


def _params(plugged: Sequence[Family]) -> Any:
    """The drawing parameters, those of plug-ins' models among them."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for row in plugged:
        for model in row.models:
            for name, described in model.extra.items():
                by_name.setdefault(name, []).append({"doc": f"of {row.name}", **described})
    hints = get_type_hints(schema.Params)
    more = {name: _parameter(each) for name, each in by_name.items() if name not in hints and name != STAMP}
    return _block(schema.Params, get_type_hints(schema.Params, include_extras=True), more)


def _parameter(described: Sequence[Mapping[str, Any]]) -> Any:
    alike = all({**each, "default": None} == {**described[0], "default": None} for each in described)
    kind = fields.parameter(described[0]) if alike else fields.ParamScalar
    return _annotated[kind, doc(described[0]["doc"])]


def _retyped(block: Any, types: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a block, some with another type and the same words."""
    hints = get_type_hints(block, include_extras=True)
    return {key: _annotated[(types[key], *hint.__metadata__)] if key in types else hint for key, hint in hints.items()}


def _block(block: Any, keys: Mapping[str, Any], more: Mapping[str, Any] | None = None, order: Sequence[str] = ()) -> Any:
    """A block of the same name and words with these keys, and `more` of them."""
    every = {**keys, **(more or {})}
    ordered = {key: every[key] for key in (*(key for key in order if key in every), *every)}
    block_type = _typed_dict(block.__name__, ordered, total=False)
    block_type.__doc__ = block.__doc__
    return with_config(STRICT)(block_type)


GRAMMAR = grammar(BUILT_IN)
"""Of the built-in families."""
