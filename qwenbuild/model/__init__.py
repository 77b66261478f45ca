"""The nouns of the walk as frozen values: manifest, entry, action, result, lock record, plan, outcome.

Knows only the standard library: no file, no clock, no network, and no rule about any of them.
"""

from qwenbuild.model.actions import Action, ActionResult, Candidate, Entry, ImageStep, InputRef, Keyed, OutputSpec
from qwenbuild.model.checks import CheckVerdict, verdict_of, verdict_record
from qwenbuild.model.lock import STRICT, LockAtlas, LockEntry, LockOutput
from qwenbuild.model.manifest import Asset, Atlas, Limits, Manifest, ProviderSettings, Source
from qwenbuild.model.money import Price
from qwenbuild.model.orders import Failure, Order, Outcome, OutcomeKind, Picture, Ticket
from qwenbuild.model.plan import AtlasPlan, CandidatePlan, Orphan, OutputPlan, Plan, Reason, Step, Verdict

__all__ = [
    "STRICT",
    "Action",
    "ActionResult",
    "Asset",
    "Atlas",
    "AtlasPlan",
    "Candidate",
    "CandidatePlan",
    "CheckVerdict",
    "Entry",
    "Failure",
    "ImageStep",
    "InputRef",
    "Keyed",
    "Limits",
    "LockAtlas",
    "LockEntry",
    "LockOutput",
    "Manifest",
    "Order",
    "Orphan",
    "Outcome",
    "OutcomeKind",
    "OutputPlan",
    "OutputSpec",
    "Picture",
    "Plan",
    "Price",
    "ProviderSettings",
    "Reason",
    "Source",
    "Step",
    "Ticket",
    "Verdict",
    "verdict_of",
    "verdict_record",
]
