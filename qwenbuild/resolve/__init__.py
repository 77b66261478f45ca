"""Turn entries into keyed candidates: every default made explicit, every value checked against the model table.

Knows no network, no clock (`today` is given) and no lockfile; what it cannot express it names, with the place in the manifest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from qwenbuild.catalog import FAMILIES, Catalog, Family, Model, read_on
from qwenbuild.errors import Problem
from qwenbuild.key import KeyOfPrompt, action_key, reroll_seed
from qwenbuild.later import later
from qwenbuild.model import Action, Candidate, Entry, InputRef, Keyed, Manifest, OutputSpec, Price, ProviderSettings
from qwenbuild.nearmiss import did_you_mean, near
from qwenbuild.resolve.findings import ParamFindings, param_place, place, step_place
from qwenbuild.resolve.hosts import host_allowed, settings_faults, variable
from qwenbuild.resolve.params import RequestParams, earlier

with later:
    from qwenbuild import images

__all__ = ["MODEL_NOTICES", "Resolved", "host_allowed", "price_under", "resolve", "settings_of", "unsaid", "variable"]

MODEL_NOTICES = frozenset({"model-retired", "model-retires", "model-licence", "model-table", "size-rounded"})
"""Notices about models, which `--strict` leaves alone; every other notice is a warning about the manifest."""

SEED_MAX = 2147483647
RETIRES_SOON = 180
"""Days before a model's retirement from which on it is said."""
TABLE_OLD = 90
"""Days after which the model table's age is said: prices, limits and models change in less."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """The entries with their keys, in order; `problems` stop the command, `notices` are said and go on.

    An entry with a problem of its own is not among `keyed`.
    """

    keyed: tuple[Keyed, ...]
    problems: tuple[Problem, ...] = ()
    notices: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Pattern:
    """What entries with one provider, model and params share: all of the Action but prompt, seed and inputs."""

    model: Model
    base: Mapping[str, Any]
    region: str
    price: Price | None
    watch: int
    rps: float
    in_flight: int
    earlier: Mapping[str, tuple[Any, ...]]
    keys: KeyOfPrompt

    def key(self, action: Action) -> str:
        """The key of one of its Actions."""
        return action_key(action) if action.inputs else self.keys.key(action)

    def action(self, prompt: str, seed: int, inputs: tuple[str, ...]) -> Action:
        """The Action of one candidate."""
        return Action(prompt=prompt, seed=seed, inputs=inputs, **self.base)

    def price_of(self, inputs: int) -> Price | None:
        """The price of one picture with so many reference images."""
        size, extended = self.base["size"], self.base["prompt_extend"]
        return self.model.price_of(self.region, size=size, extended=extended, inputs=inputs) if inputs else self.price


def resolve(
    entries: Sequence[Entry],
    manifest: Manifest,
    *,
    today: str,
    catalog: Catalog | None = None,
    seeds: Mapping[str, Sequence[int]] | None = None,
) -> Resolved:
    """Actions and keys for every entry. `today` is an ISO day; `seeds` are added candidates by entry id.

    An input that is another entry stands in the Action as `entry:<id>` and its candidate's key is "" until the plan
    knows the digest. Entries without an id stand for others of their kind: they are not keyed, only what there is to say of
    their provider, model and params is said. Raises InputError for a `models:` block it cannot read.
    """
    worker = _Resolver(manifest, catalog or Catalog.load(manifest.models), today)
    added = seeds or {}
    keyed = []
    for entry in entries:
        if not entry.id:
            worker.shared(entry)
        elif (item := worker.keyed(entry, added.get(entry.id, ()))) is not None:
            keyed.append(item)
    return Resolved(tuple(keyed), worker.findings.said(False), worker.findings.said(True))


def settings_of(manifest: Manifest, provider: str) -> ProviderSettings:
    """The settings of a provider named in the manifest, or of a built-in type by its name."""
    settings = manifest.providers.get(provider)
    if settings is not None:
        return settings
    row = FAMILIES.get(provider)
    return ProviderSettings(provider, provider) if row is None else row.settings_of(provider, {})


def price_under(model: str, entry: Entry, inputs: int, manifest: Manifest, catalog: Catalog) -> Price | None:
    """What a picture of an entry would cost under another model; None when nobody knows, or that model cannot draw it."""
    worker = _Resolver(manifest, catalog, read_on())
    pattern = worker.pattern(replace(entry, model=model))
    return None if pattern is None else pattern.price_of(inputs)


def unsaid(model: Model, action: Action) -> tuple[str, ...]:
    """What the model's API cannot express of an Action, a sentence each."""
    return tuple(_unsaid(model, action))


def _unsaid(model: Model, action: Action) -> Iterable[str]:
    cannot = f"{model.id} of {model.family} cannot express"
    if action.negative_prompt.strip() and model.negative_limit is None:
        yield f"{cannot} a negative prompt"
    if model.over == "refuse" and model.prompt_limit is not None and model.length(action.prompt) > model.prompt_limit:
        yield f"the prompt has {len(action.prompt)} {model.prompt_unit}; {model.id} takes {model.prompt_limit}"
    if action.output_format not in model.formats:
        yield f"{cannot} the output format {action.output_format}: it takes {', '.join(model.formats)}"
    for name in ("prompt_extend", "watermark"):
        if getattr(action, name) and name not in model.params:
            yield f"{cannot} {name}"
    if not model.inputs_min <= len(action.inputs) <= model.inputs_max:
        yield f"{model.id} takes {_count(model)} reference images, not {len(action.inputs)}"
    if action.inputs and (fault := model.inputs_fault(action.size)):
        yield fault
    if not model.any_param:
        yield from (f"{cannot} {name}" for name, _ in action.extra if name not in model.extra)


def _count(model: Model) -> str:
    if model.inputs_max == 0:
        return "no"
    return f"{model.inputs_min} to {model.inputs_max}" if model.inputs_min != model.inputs_max else str(model.inputs_max)


class _Resolver:
    def __init__(self, manifest: Manifest, catalog: Catalog, today: str) -> None:
        self.manifest = manifest
        self.catalog = catalog
        self.today = today
        self.findings = ParamFindings(manifest)
        self.by_identity: dict[tuple[str, str, str | None, int], Pattern | None] = {}
        self.by_content: dict[tuple[str, str, str | None, str], Pattern | None] = {}
        self.checked: set[str] = set()
        self.sizes: dict[tuple[int, str], bool] = {}

    # ------------------------------------------------------------ one entry

    def keyed(self, entry: Entry, added: Sequence[int]) -> Keyed | None:
        identity = (entry.asset, entry.provider, entry.model, id(entry.params))
        try:
            pattern = self.by_identity[identity]
        except KeyError:
            pattern = self.by_identity[identity] = self.shared(entry)
        if pattern is None or not self.sound(entry, pattern):
            return None
        inputs, complete = _input_names(entry.inputs) if entry.inputs else ((), True)
        prompt, action = entry.prompt, pattern.action
        if entry.variants == 1 and not added:
            first = action(prompt, entry.seed, inputs)
            candidates: tuple[Candidate, ...] = (Candidate(entry.seed, first, pattern.key(first) if complete else ""),)
        else:
            seeds = dict.fromkeys([*range(entry.seed, entry.seed + entry.variants), *added])
            actions = [(seed, action(prompt, seed, inputs)) for seed in seeds]
            candidates = tuple(Candidate(seed, act, pattern.key(act) if complete else "") for seed, act in actions)
        price = pattern.price_of(len(inputs))
        keyed = Keyed(entry, candidates, price, pattern.model.seconds, pattern.rps, pattern.in_flight, pattern.earlier)
        if entry.attempts == 1:
            return keyed
        spare_seeds = [reroll_seed(entry.seed, number) for number in range(2, entry.attempts + 1)]
        drawn = [(seed, action(prompt, seed, inputs)) for seed in dict.fromkeys(spare_seeds)]
        return replace(keyed, spares=tuple(Candidate(seed, act, pattern.key(act) if complete else "") for seed, act in drawn))

    def sound(self, entry: Entry, pattern: Pattern) -> bool:
        good = True
        if len(entry.prompt) > pattern.watch:
            good = self.prompt_fits(entry, pattern.model)
        if entry.seed + entry.variants - 1 > SEED_MAX or entry.seed < 0:
            self.say("seed-range", entry, f"seeds of {entry.id} are 0 to {SEED_MAX}", "seed")
            good = False
        if entry.inputs or pattern.model.inputs_min:
            good = self.inputs_fit(entry, pattern) and good
        for spec in entry.outputs:
            if spec.steps:
                good = self.steps_fit(entry, spec, pattern.base["size"]) and good
        return good

    def steps_fit(self, entry: Entry, spec: OutputSpec, size: str) -> bool:
        """Whether the steps suit the size that will be drawn, where that is known in pixels."""
        fits = self.sizes.get((id(spec.steps), size))
        if fits is None:
            width, star, height = size.partition("*")
            fits = True
            try:
                images.final_size(spec.steps, (int(width), int(height)) if star else None)
            except images.SizeFault as fault:
                self.findings.add("bad-step", str(fault), step_place(self.manifest, entry, spec, fault.at))
                fits = False
            self.sizes[id(spec.steps), size] = fits
        return fits

    def prompt_fits(self, entry: Entry, model: Model) -> bool:
        assert model.prompt_limit is not None
        count = model.length(entry.prompt)
        if count <= model.prompt_limit:
            return True
        about = "about " if model.prompt_unit == "tokens" else ""
        cut = model.over == "cut"
        what = "cuts it" if cut else "refuses it"
        message = f"the prompt of {entry.id} has {about}{count} {model.prompt_unit}; {model.id} {what} at {model.prompt_limit}"
        self.say("prompt-too-long", entry, message, "prompt", notice=cut)
        return cut

    def inputs_fit(self, entry: Entry, pattern: Pattern) -> bool:
        model = pattern.model
        if not model.inputs_min <= len(entry.inputs) <= model.inputs_max:
            message = f"{model.id} of {model.family} takes {_count(model)} reference images; {entry.id} has {len(entry.inputs)}"
            self.say("inputs", entry, message, "inputs")
            return False
        if entry.inputs and (wrong := model.inputs_fault(pattern.base["size"])):
            self.say_param("size", entry, "size", wrong)
            return False
        if not all(self.input_fits(entry, at, ref, model) for at, ref in enumerate(entry.inputs) if ref.file):
            return False
        for name, value in pattern.base["extra"]:
            if entry.inputs and value in model.extra.get(name, {}).get("text_only", ()):
                self.say_param(
                    "not-expressible", entry, name, f"{model.id} takes {name}: {value} only without reference images"
                )
                return False
        return True

    def input_fits(self, entry: Entry, at: int, ref: InputRef, model: Model) -> bool:
        """Whether an API takes a reference file: known types, no larger than it says."""
        family = self.catalog.families[model.family]
        if not ref.size:
            return True  # nobody looked at the file
        message = ""
        types = model.inputs_types or family.inputs_types
        if ref.media_type not in types:
            known = ", ".join(kind.removeprefix("image/") for kind in types)
            what = f"is {ref.media_type.removeprefix('image/')}" if ref.media_type else "is no picture"
            message = f"the reference image `{ref.file}` {what}; {model.id} takes {known}"
        elif family.inputs_bytes and ref.size > family.inputs_bytes:
            size, most = ref.size / (1 << 20), family.inputs_bytes >> 20
            message = f"the reference image `{ref.file}` has {size:.1f} MB; the most that {model.id} takes is {most} MB"
        if message:
            self.findings.add("bad-input", message, (*place(self.manifest, entry, "inputs"), at))
        return not message

    # ------------------------------------------------------------ what entries share

    def shared(self, entry: Entry) -> Pattern | None:
        content = (entry.asset, entry.provider, entry.model, repr(entry.params))
        if content not in self.by_content:
            self.by_content[content] = self.pattern(entry)
        return self.by_content[content]

    def pattern(self, entry: Entry) -> Pattern | None:
        settings = settings_of(self.manifest, entry.provider)
        family = self.catalog.families.get(settings.type)
        if family is None:
            hint = (
                did_you_mean(near(settings.type, self.catalog.families), quote="")
                or f"there are {', '.join(self.catalog.families)}"
            )
            self.say("unknown-provider", entry, f"there is no provider {settings.type!r}", "provider", hint=hint)
            return None
        model = self.model(entry, settings)
        if settings.name not in self.checked:
            self.checked.add(settings.name)
            self.check_settings(settings, family)
        if model is None:
            return None

        def say(code: str, name: str, message: str, hint: str, notice: bool) -> None:
            self.say_param(code, entry, name, message, hint=hint, notice=notice)

        base = RequestParams(entry.params, settings, model, self.catalog, say).base()
        if base is None:
            return None
        if "mode" in family.settings and settings.mode not in ("auto", model.call(settings.mode)):
            self.say_setting("mode", settings, f"{model.id} has no {settings.mode} call; it has {', '.join(model.calls)}")
            return None
        watch = model.prompt_limit if model.prompt_limit is not None else 1 << 60
        rps = model.rate(settings.rps, settings.rpm)
        in_flight = settings.concurrency if settings.concurrency is not None else model.in_flight
        before = earlier(entry.params, settings, model, self.catalog) if self.catalog.editions(model) else {}
        price = model.price_of(settings.region, size=base["size"], extended=base["prompt_extend"], inputs=0)
        keys = KeyOfPrompt(Action(prompt="", seed=0, **base))
        return Pattern(model, base, settings.region, price, watch, rps, in_flight, before, keys)

    def model(self, entry: Entry, settings: ProviderSettings) -> Model | None:
        name = entry.model or settings.model
        model = self.catalog.find(settings.type, name, settings.allow_unknown_model)
        if model is None:
            suggestion = did_you_mean(self.catalog.near(settings.type, name or "")[:1], quote="")
            hint = f"{suggestion} " if suggestion else ""
            message = f"the model table has no {name!r} for {settings.type}"
            self.say(
                "unknown-model", entry, message, "model", hint=f"{hint}`allow_unknown_model: true` of the provider takes any"
            )
            return None
        if model.dialect and model.dialect != settings.dialect:
            self.say("not-expressible", entry, f"{model.id} of {model.family} needs `dialect: {model.dialect}`", "model")
            return None
        self.notices(entry, model)
        return model

    def notices(self, entry: Entry, model: Model) -> None:
        hint = f"`qwenbuild migrate --model {model.id}={model.replacement}` moves to it" if model.replacement else ""
        instead = f"; take {model.replacement}" if model.replacement else ""
        if model.retires and self.today >= model.retires:
            message = f"{model.id} retired on {model.retires} ({model.retires_source}){instead}; pictures that exist stay"
            self.say("model-retired", entry, message, "model", hint=hint, notice=True)
        elif model.retires and _days(self.today, model.retires) <= RETIRES_SOON:
            message = f"{model.id} retires on {model.retires} ({model.retires_source}){instead}"
            self.say("model-retires", entry, message, "model", hint=hint, notice=True)
        if self.catalog.families[model.family].sold_here() and _days(read_on(), self.today) > TABLE_OLD:
            message = f"the model table is of {read_on()}, more than {TABLE_OLD} days old: prices and models may have changed"
            self.findings.add("model-table", message, (), hint="a newer qwenbuild may know more", notice=True)
        if model.research_only:
            message = f"{model.id} is under the {model.licence}: not for commercial use"
            self.say("model-licence", entry, message, "model", notice=True)

    def check_settings(self, settings: ProviderSettings, family: Family) -> None:
        for name, message, hint in settings_faults(settings, family):
            self.say_setting(name, settings, message, hint=hint)

    # ------------------------------------------------------------ saying it

    def say(self, code: str, entry: Entry, message: str, what: str, *, hint: str = "", notice: bool = False) -> None:
        self.findings.add(code, message, place(self.manifest, entry, what), hint=hint, notice=notice)

    def say_param(self, code: str, entry: Entry, name: str, message: str, *, hint: str = "", notice: bool = False) -> None:
        self.findings.add(code, message, param_place(self.manifest, entry, name), hint=hint, notice=notice)

    def say_setting(self, what: str, settings: ProviderSettings, message: str, *, hint: str = "") -> None:
        self.findings.add(what.replace("_", "-"), message, ("providers", settings.name, what), hint=hint)


def _input_names(inputs: Sequence[InputRef]) -> tuple[tuple[str, ...], bool]:
    names = tuple(item.digest or (f"entry:{item.entry}" if item.entry else f"file:{item.file}") for item in inputs)
    return names, all(item.digest for item in inputs)


def _days(start: str, end: str) -> int:
    return (date.fromisoformat(end) - date.fromisoformat(start)).days
