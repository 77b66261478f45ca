"""The grammar of manifest version 1: every key, its type, and what an editor says about it.

Knows nothing of how keys go together (`rules` does), and nothing of files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Required

from pydantic import ConfigDict, Field, PlainValidator, WithJsonSchema, with_config
from typing_extensions import TypedDict

from qwenbuild import plugins
from qwenbuild.catalog import units
from qwenbuild.errors import InputError
from qwenbuild.manifest import fields
from qwenbuild.manifest.fields import SomeText, Text, Truth, kind, wrong
from qwenbuild.manifest.names import PROVIDER_NAME, STEP_KINDS, is_asset_name
from qwenbuild.model.money import UNIT

STRICT = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


def doc(description: str, **more: Any) -> Any:
    """What an editor says about a key."""
    return Field(description=description, **more)


def _named(fits: Callable[[str], object], what: str, hint: str) -> Callable[[str], str]:
    def check(name: str) -> str:
        if not fits(name):
            raise wrong("name", f"{what} cannot be called {kind(name)}", hint)
        return name

    return check


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise wrong("type", f"must be a mapping, not {kind(value)}")
    return value


def _axis_value(value: Any) -> Any:
    if value is None or isinstance(value, list):
        raise wrong("type", f"must be a text, a number, true or false, or a mapping with an `id`, not {kind(value)}")
    return value


def _scalar_value(value: Any) -> Any:
    if value is None or isinstance(value, list | dict):
        raise wrong(
            "type", f"must be a text, a number, true or false, not {kind(value)}", "a mapping value is named by its `id`"
        )
    return value


def _foreach(value: Any) -> Any:
    if isinstance(value, str) and value.strip():
        return value
    if not isinstance(value, list):
        raise wrong("type", f"must be a data file (.csv .json .jsonl .yaml) or a list of rows, not {kind(value)}")
    for number, row in enumerate(value, 1):
        if not isinstance(row, dict):
            raise wrong(
                "row", f"row {number} must be a mapping of columns, not {kind(row)}", "such as {id: red, name: crimson}"
            )
    return value


def _input(value: Any) -> Any:
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, dict) and value.keys() == {"entry"} and isinstance(value["entry"], str) and value["entry"].strip():
        return value
    raise wrong("input", f"must be a file or an entry, not {kind(value)}", "such as refs/knight.png or {entry: heroes/knight}")


def _step(value: Any) -> Any:
    if isinstance(value, str) and _is_step(value):
        raise wrong("step", f'must be a mapping with one key, not "{value}"', f"write {{{value}: {{}}}}")
    if not isinstance(value, dict) or len(value) != 1:
        raise wrong("step", f"must be a mapping with one key, not {kind(value)}", "such as {resize: {width: 256}}")
    (name,) = value
    if not _is_step(name):
        kinds = (*STEP_KINDS, *plugins.names("step"))
        raise wrong("step", f"there is no step {kind(name)}", fields.near(name, kinds))
    return value


def _is_step(name: Any) -> bool:
    """Whether a step is called so, here or by a plug-in."""
    try:
        return name in STEP_KINDS or (isinstance(name, str) and plugins.find("step", name, STEP_KINDS) is not None)
    except InputError as error:
        raise wrong("plugin", str(error)) from None


_SCALAR: dict[str, Any] = {"type": ["string", "number", "boolean"]}
STEP_SCHEMA = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": 1,
    "properties": {name: {} for name in STEP_KINDS},
    "additionalProperties": False,
}
_ENTRY_SCHEMA = {
    "type": "object",
    "properties": {"entry": {"type": "string", "minLength": 1}},
    "required": ["entry"],
    "additionalProperties": False,
}
_ROWS_SCHEMA = {"type": "array", "items": {"type": "object"}}

AssetName = Annotated[
    str,
    PlainValidator(_named(is_asset_name, "an asset", "letters, digits, - _ . and / between them: it begins the entries' ids")),
    WithJsonSchema({"type": "string"}),
]
ProviderName = Annotated[
    str,
    PlainValidator(
        _named(PROVIDER_NAME.fullmatch, "a provider", "letters, digits, - and _, as QWENBUILD_<NAME>_BASE_URL needs")
    ),
    WithJsonSchema({"type": "string"}),
]
Unit = Annotated[
    str,
    PlainValidator(_named(UNIT.fullmatch, "a unit", f"small letters and digits: {', '.join(units())}")),
    WithJsonSchema({"type": "string"}),
]
Variables = Annotated[Mapping[str, Any], PlainValidator(_mapping), WithJsonSchema({"type": "object"})]
AxisValue = Annotated[Any, PlainValidator(_axis_value), WithJsonSchema({"type": ["string", "number", "boolean", "object"]})]
Combination = dict[str, AxisValue]
Excluded = dict[str, Annotated[Any, PlainValidator(_scalar_value), WithJsonSchema(_SCALAR)]]
Rows = Annotated[Any, PlainValidator(_foreach), WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1}, _ROWS_SCHEMA]})]
InputFile = Annotated[
    Any, PlainValidator(_input), WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1}, _ENTRY_SCHEMA]})
]
StepItem = Annotated[Any, PlainValidator(_step), WithJsonSchema(STEP_SCHEMA)]
Expect = Annotated[Mapping[str, Any], PlainValidator(_mapping), WithJsonSchema({"type": "object"})]
Price = dict[Unit, fields.Amount]


@with_config(STRICT)
class Params(TypedDict, total=False):
    """Drawing parameters. Null removes an inherited parameter; a string may be a template."""

    size: Annotated[fields.ParamSize, doc("W*H in pixels, WxH, or a ratio such as 16:9; default: the model's")]
    negative_prompt: Annotated[fields.ParamText, doc("what the picture must not show; default none")]
    prompt_extend: Annotated[fields.ParamTruth, doc("whether the provider may rewrite the prompt")]
    watermark: Annotated[fields.ParamTruth, doc("whether the provider draws its mark into the picture; default false")]
    output_format: Annotated[fields.ParamFormat, doc("png, jpeg or webp, where the API has a choice; default png")]
    num_inference_steps: Annotated[fields.ParamSteps, doc("steps of a self-hosted model, 1 to 1000")]
    true_cfg_scale: Annotated[fields.ParamScale, doc("classifier-free guidance of a self-hosted model")]
    guidance_scale: Annotated[fields.ParamScale, doc("guidance of distilled weights")]
    prompt_extend_mode: Annotated[fields.ParamExtendMode, doc("direct or agent (qwen-image-3.0)")]
    enable_thinking: Annotated[fields.ParamTruth, doc("whether the server thinks while rewriting the prompt (qwen-image-3.0)")]
    thinking_mode: Annotated[fields.ParamTruth, doc("whether the model thinks before it draws from text alone (wan2.7-image)")]
    flow_shift: Annotated[fields.ParamScale, doc("shift of the noise schedule of a self-hosted model")]
    generator_device: Annotated[fields.ParamDevice, doc("cpu or cuda: where a self-hosted model makes its noise")]
    acceleration: Annotated[fields.ParamAcceleration, doc("none, regular or high (qwen-image)")]
    strength: Annotated[fields.ParamShare, doc("how much of a reference image is drawn anew, 0 to 1 (qwen-image)")]
    task_type: Annotated[fields.ParamTask, doc("text-to-image, image-to-image or image-edit (qwen-image)")]


@with_config(STRICT)
class LimitsBlock(TypedDict, total=False):
    """A provider's pace."""

    rps: Annotated[fields.Rate, doc("submissions a second; default: the model table's")]
    rpm: Annotated[fields.RateByMinute, doc("submissions a minute, spaced evenly; if rps is given too, the stricter applies")]
    concurrency: Annotated[fields.AtLeastOne, doc("jobs in flight; default: the model table's")]


@with_config(STRICT)
class ProviderBlock(TypedDict, total=False):
    """Named settings of one API."""

    type: Annotated[str, doc("the API; default: the block's name")]
    model: Annotated[SomeText, doc("used by assets that name none; wins over defaults.model")]
    params: Annotated[Params, doc("drawing parameters; override defaults.params, overridden by the asset's")]
    api_key_env: Annotated[SomeText, doc("the NAME of a variable ending in _API_KEY, never a key itself")]
    limits: Annotated[LimitsBlock, doc("pace: rps or rpm, and concurrency")]
    timeout: Annotated[fields.Seconds, doc("seconds for one job; default 300")]
    webhook: Annotated[SomeText, doc("https address that the API calls, where it supports that")]
    base_url: Annotated[SomeText, doc("the vendor's own host or loopback; any host for type openai")]
    allow_unknown_model: Annotated[Truth, doc("accept a model that is not in the model table; default false")]
    allow_unlisted_size: Annotated[Truth, doc("send a size that the model table does not list; default false")]


@with_config(STRICT)
class TierBlock(TypedDict, total=False):
    """The price of pictures up to a size."""

    pixels: Required[Annotated[fields.AtLeastOnePixel, doc("at most this many pixels, width times height")]]
    price: Required[Annotated[Price, doc("one picture of at most that size, by unit")]]
    price_extended: Annotated[Price, doc("the same with prompt_extend, where that costs more")]


@with_config(STRICT)
class RegionPricesBlock(TypedDict, total=False):
    """The prices of one region; none is inherited from the model's row."""

    price: Annotated[Price, doc("one picture, by unit")]
    price_extended: Annotated[Price, doc("one picture with prompt_extend, where that costs more")]
    price_tiers: Annotated[list[TierBlock], doc("prices by size; a larger picture costs `price`")]
    price_input: Annotated[Price, doc("each reference image, in addition")]


@with_config(STRICT)
class ModelBlock(TypedDict, total=False):
    """Corrections of one row of the model table."""

    family: Annotated[str, doc("the API that has this model; needed for a model that is not in the table")]
    price: Annotated[Price, doc('one picture, by unit: {usd: "0.03"}; {} is free')]
    price_extended: Annotated[Price, doc("one picture with prompt_extend, where that costs more")]
    price_tiers: Annotated[
        list[TierBlock], doc('prices by size, such as {pixels: 2250000, price: {usd: "0.04"}}; a larger picture costs `price`')
    ]
    price_input: Annotated[Price, doc("each reference image, in addition to the picture")]
    price_by_region: Annotated[dict[str, RegionPricesBlock], doc("regions with prices of their own")]
    sizes: Annotated[list[SomeText], doc("W*H in pixels: the only sizes that the model draws")]
    ratios: Annotated[list[SomeText], doc("ratios, for an API that takes no pixels")]
    aliases: Annotated[dict[str, SomeText], doc("the size in pixels, W*H, of each ratio")]
    default_size: Annotated[SomeText, doc("the size when none is asked for")]
    area: Annotated[list[fields.Count], doc("least and most pixels", min_length=2, max_length=2)]
    sides: Annotated[list[fields.Count], doc("least and most pixels of a side", min_length=2, max_length=2)]
    multiple: Annotated[fields.AtLeastOne, doc("both sides must be multiples of this")]
    prompt_limit: Annotated[fields.AtLeastOne, doc("longest prompt")]
    prompt_unit: Annotated[Literal["characters", "tokens"], doc("what prompt_limit counts")]
    negative_limit: Annotated[fields.Count, doc("longest negative prompt in characters")]
    inputs_max: Annotated[fields.Count, doc("most reference images")]
    rps: Annotated[fields.Rate, doc("submissions a second")]
    rpm: Annotated[fields.RateByMinute, doc("submissions a minute, spaced evenly; if rps is given too, the stricter applies")]
    in_flight: Annotated[fields.AtLeastOne, doc("jobs in flight")]
    retires: Annotated[Text, doc('day it retires, such as 2026-10-10; "" for never')]
    replacement: Annotated[Text, doc("the model to use instead once this one retires")]
    licence: Annotated[Text, doc("licence of the pictures or the weights")]
    research_only: Annotated[Truth, doc("whether the licence forbids commercial use")]
    experimental: Annotated[Truth, doc("whether the model is described only by third parties")]
    seconds: Annotated[fields.Seconds, doc("seconds that a picture takes")]


OutputBlock = TypedDict(
    "OutputBlock",
    {
        "as": Annotated[SomeText, doc("a name that atlases and commands use")],
        "path": Required[Annotated[SomeText, doc("the file, below the output root; a template")]],
        "steps": Annotated[list[StepItem], doc("what is done to the picture, in order")],
        "expect": Annotated[Expect, doc("checks that this file must pass")],
    },
    total=False,
)
with_config(STRICT)(OutputBlock)
OutputBlock.__doc__ = "One file derived from the picture."


@with_config(STRICT)
class Shared(TypedDict, total=False):
    """What an asset and `defaults` have in common."""

    model: Annotated[SomeText, doc("model id; default: the provider's, else the model table's")]
    params: Annotated[Params, doc("drawing parameters; merged by key, null removes")]
    vars: Annotated[Variables, doc("variables of the templates; merged by key, null is a value")]
    seed: Annotated[fields.Seed, doc("0 to 2147483647; default 0")]
    variants: Annotated[fields.Variants, doc("number of candidates, with consecutive seeds; one is picked; default 1")]
    inputs: Annotated[list[InputFile], doc("reference images: files, or {entry: id} for another entry's picture")]
    id: Annotated[SomeText, doc("template of the id; default: asset name / slugs of the row's id and the axis values")]
    output: Annotated[SomeText, doc('template of the file below the output root; default "<id>.png"')]
    steps: Annotated[list[StepItem], doc("what is done to the picture, in order, for a single output")]
    outputs: Annotated[list[OutputBlock], doc("several files from one picture; instead of output and steps", min_length=1)]
    expect: Annotated[Expect, doc("checks that the picture must pass, such as {alpha: {min: 0.2}}")]
    tags: Annotated[list[SomeText], doc("tags for selectors such as tag:ui")]
    stop_after_failures: Annotated[
        fields.Failures, doc("after this many failed pictures in a row, no more are bought; false: never stop; default 5")
    ]
    on_fail: Annotated[fields.OnFail, doc("when a picture fails a check: fail (default), warn, or reroll with another seed")]
    attempts: Annotated[fields.Attempts, doc("with on_fail: reroll, the most pictures drawn for one entry; default 3")]
    choose: Annotated[fields.Choose, doc("which candidate is used: first (default), or best by its checks")]


@with_config(STRICT)
class DefaultsBlock(Shared, total=False):
    """Settings for every asset; an asset's own keys win."""


@with_config(STRICT)
class AssetBlock(Shared, total=False):
    """One prompt template with its axes: a picture for each combination."""

    prompt: Annotated[SomeText, doc("template of the prompt; required unless prompt_file is given")]
    prompt_file: Annotated[SomeText, doc("file in the templates folder that holds the prompt's template")]
    matrix: Annotated[
        dict[str, Annotated[list[AxisValue], Field(min_length=1)]],
        doc("axes: every combination is one entry, the last axis fastest"),
    ]
    include: Annotated[list[Combination], doc("combinations added to the product; each names every axis")]
    exclude: Annotated[list[Excluded], doc("combinations left out; a mapping value is named by its id")]
    foreach: Annotated[Rows, doc("rows as variables: a .csv, .json, .jsonl or .yaml file, or a list written here")]
    provider: Annotated[SomeText, doc("a key of providers, or a built-in type; default: the manifest's")]


AtlasBlock = TypedDict(
    "AtlasBlock",
    {
        "select": Required[Annotated[SomeText, doc("which entries, such as tag:ui")]],
        "from": Annotated[SomeText, doc("the output (its `as`) to pack; default: the first one")],
        "output": Required[Annotated[SomeText, doc("the sheet, below the output root")]],
        "padding": Annotated[fields.Count, doc("transparent pixels between pictures and at the edge; default 2")],
        "extrude": Annotated[fields.Count, doc("how often a picture's outermost pixels are repeated around it; default 0")],
        "trim": Annotated[Truth, doc("whether transparent borders are cut off; default false")],
        "power_of_two": Annotated[Truth, doc("whether the sheet's sides are powers of two; default false")],
        "max_size": Annotated[
            fields.AtLeastOne, doc("longest side of a sheet in pixels; what does not fit goes to another sheet; default 2048")
        ],
        "scales": Annotated[list[fields.AtLeastOne], doc("such as [1, 2] for a second set, @2x; default [1]", min_length=1)],
    },
    total=False,
)
with_config(STRICT)(AtlasBlock)
AtlasBlock.__doc__ = "A sheet packed from entries."


@with_config(STRICT)
class ManifestBlock(TypedDict, total=False):
    """A qwenbuild manifest, version 1."""

    version: Required[Annotated[Literal[1], doc("version of the manifest's format: 1")]]
    output: Annotated[SomeText, doc('root of the output tree, a folder below this file\'s; default "assets"')]
    provider: Annotated[SomeText, doc('a key of providers, or a built-in type; default "placeholder"')]
    templates: Annotated[SomeText, doc('folder for include, import and prompt_file; default "prompts"')]
    providers: Annotated[dict[ProviderName, ProviderBlock], doc("named settings of APIs")]
    models: Annotated[dict[str, ModelBlock], doc("corrections of the model table, by model id")]
    vars: Annotated[Variables, doc("variables of every template")]
    defaults: Annotated[DefaultsBlock, doc("settings for every asset; an asset's own keys win")]
    budget: Annotated[Price, doc("ceiling for one build, by unit; a unit not named has no ceiling")]
    provenance: Annotated[fields.Provenance, doc("marks in derived files: off (default), marks or full")]
    remote: Annotated[SomeText, doc("shared cache: s3:// gs:// az:// https:// file://")]
    trust: Annotated[
        fields.Trust, doc("what is trusted: lockfile (default), or keys: receipts signed with the team's key, too")
    ]
    claims: Annotated[Truth, doc("whether builds tell each other through the shared cache what they draw; default false")]
    remote_derived: Annotated[Truth, doc("whether derived files are shared, too; default false")]
    assets: Annotated[dict[AssetName, AssetBlock], doc("what to draw, by name")]
    atlases: Annotated[dict[AssetName, AtlasBlock], doc("sheets packed from entries, by name")]
