"""The walk through DashScope on the emulator: what is bought, in which order, and what money stops."""

from __future__ import annotations

from decimal import Decimal

import pytest

from qwenbuild.emulator import Served
from qwenbuild.errors import CredentialsError, GateStop
from tests.walking import Project

LANTERNS = """\
version: 1
provider: dashscope
providers:
  dashscope: {region: singapore, mode: auto, limits: {rps: 200, concurrency: 20}}
defaults: {params: {size: "1:1", prompt_extend: false}}
assets:
  lanterns:
    prompt: "a {{ color }} lantern"
    model: qwen-image-plus
    matrix: {color: [red, blue, green]}
"""
PROMPTS = ["a red lantern", "a blue lantern", "a green lantern"]


@pytest.fixture
def lanterns(walked: Project, emulated: Served) -> Project:
    walked.manifest(LANTERNS)
    return walked


def many(count: int, model: str = "qwen-image-plus") -> str:
    halves = f"[{', '.join(f'n{n}' for n in range(count // 2))}]"
    return LANTERNS.split("assets:")[0] + (
        f'assets:\n  left: {{prompt: "left {{{{ n }}}}", model: {model}, matrix: {{n: {halves}}}}}\n'
        f'  right: {{prompt: "right {{{{ n }}}}", model: {model}, matrix: {{n: {halves}}}}}\n'
    )


@pytest.mark.parametrize("mode", ["async", "sync"])
@pytest.mark.parametrize("region", ["singapore", "beijing"])
def test_each_region_and_mode_gives_the_right_files(
    lanterns: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch, mode: str, region: str
) -> None:
    use_region(emulated, monkeypatch, region)
    lanterns.edit("region: singapore, mode: auto", f"region: {region}, mode: {mode}")
    summary = lanterns.build()
    assert summary.exit_code == 0
    jobs = emulated.ledger()
    assert sorted(job["prompt"] for job in jobs) == sorted(PROMPTS)
    assert {(job["region"], job["size"], job["seed"]) for job in jobs} == {(region, "1328*1328", 0)}
    pictures = {job["prompt"].split()[1]: job["pictures"][0] for job in jobs}
    assert lanterns.tree() == {f"lanterns/{color}.png": digest for color, digest in pictures.items()}
    assert emulated.leaks() == []


def use_region(emulated: Served, monkeypatch: pytest.MonkeyPatch, region: str) -> None:
    environ = emulated.environ()
    monkeypatch.setenv("QWENBUILD_DASHSCOPE_BASE_URL", environ[f"QWENBUILD_DASHSCOPE_{region.upper()}_BASE_URL"])
    monkeypatch.setenv("DASHSCOPE_API_KEY", environ[f"DASHSCOPE_{region.upper()}_API_KEY"])


def test_switching_region_or_mode_buys_nothing(lanterns: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    lanterns.build()
    for old, new in (("region: singapore", "region: beijing"), ("mode: auto", "mode: sync"), ("mode: sync", "mode: async")):
        lanterns.edit(old, new)
        use_region(emulated, monkeypatch, "beijing")
        assert lanterns.build().counts == {"fresh": 3, "modified": 0}
    assert sorted(emulated.prompts()) == sorted(PROMPTS)


def test_one_refused_prompt_among_fifty_costs_the_others_nothing(walked: Project, emulated: Served) -> None:
    emulated.configure(refuse_words=["left n7"])
    walked.manifest(many(50))
    summary = walked.build()
    assert summary.exit_code == 1
    assert summary.counts == {"generated": 49, "refused": 1}
    assert [(id, code) for id, code, _ in summary.failures] == [("left/n7", "DataInspectionFailed")]
    assert len(walked.tree()) == 49
    sent = len(emulated.prompts())
    again = walked.build()
    assert (again.exit_code, len(emulated.prompts())) == (1, sent)
    assert "inappropriate" in again.failures[0][2]


def test_a_refused_prompt_is_sent_again_only_when_asked(walked: Project, emulated: Served) -> None:
    emulated.configure(refuse_words=["left n1"])
    walked.manifest(many(4))
    walked.build()
    emulated.configure(refuse_words=[])
    assert walked.build().exit_code == 1
    assert walked.build(retry_failed=True).exit_code == 0
    assert sorted(emulated.prompts()) == ["left n0", "left n1", "left n1", "right n0", "right n1"]


def test_a_limit_pays_for_pictures_of_different_assets_and_the_next_build_goes_on(walked: Project, emulated: Served) -> None:
    walked.manifest(many(200))
    summary = walked.build(limit=3)
    assert summary.exit_code == 3
    assert sorted(emulated.prompts()) == ["left n0", "left n1", "right n0"]
    assert summary.spent == {"usd": Decimal("0.09")}
    walked.build(limit=3)
    assert sorted(emulated.prompts()[3:]) == ["left n2", "left n3", "right n1"]


def test_without_consent_nothing_is_sent(lanterns: Project, emulated: Served) -> None:
    with pytest.raises(GateStop) as caught:
        lanterns.build(yes=False)
    assert (caught.value.exit_code, caught.value.code) == (4, "consent")
    assert "0.09 USD" in str(caught.value)
    assert emulated.requests() == []


def test_a_person_is_asked_once_and_may_decline(lanterns: Project, emulated: Served) -> None:
    with pytest.raises(GateStop):
        lanterns.ask(False)
    assert (len(lanterns.asked), emulated.requests()) == (1, [])
    assert lanterns.ask(True).exit_code == 0
    assert sorted(emulated.prompts()) == sorted(PROMPTS)


@pytest.mark.parametrize(("amount", "sent"), [("0.09", 3), ("0.08", 0)])
def test_max_cost_is_consent_up_to_its_amount(lanterns: Project, emulated: Served, amount: str, sent: int) -> None:
    cost = {"usd": Decimal(amount)}
    if sent:
        assert lanterns.build(yes=False, max_cost=cost).exit_code == 0
    else:
        with pytest.raises(GateStop):
            lanterns.build(yes=False, max_cost=cost)
    assert len(emulated.prompts()) == sent


def test_a_plan_over_the_budget_sends_nothing_even_under_yes(lanterns: Project, emulated: Served) -> None:
    lanterns.edit("version: 1\n", 'version: 1\nbudget: {usd: "0.06"}\n')
    with pytest.raises(GateStop) as caught:
        lanterns.build()
    assert (caught.value.code, emulated.requests()) == ("budget", [])


def test_the_brake_stops_buying_again_what_was_lost(walked: Project, emulated: Served) -> None:
    walked.manifest(many(12))
    walked.build()
    walked.lose("cache", "outputs")
    with pytest.raises(GateStop) as caught:
        walked.build()
    assert (caught.value.code, len(emulated.prompts())) == ("brake", 12)
    assert walked.build(max_cost={"usd": Decimal(1)}).exit_code == 0
    assert len(emulated.prompts()) == 24


def test_a_missing_key_stops_before_anything_is_sent(
    lanterns: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DASHSCOPE_API_KEY")
    with pytest.raises(CredentialsError, match="DASHSCOPE_API_KEY"):
        lanterns.build()
    assert emulated.requests() == []


def test_a_key_beside_the_manifest_is_used_and_never_beats_the_environment(
    lanterns: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lanterns.folder / ".env").write_text("DASHSCOPE_API_KEY=sk-wrong\n")
    assert lanterns.build().exit_code == 0
    monkeypatch.delenv("DASHSCOPE_API_KEY")
    lanterns.edit("a {{ color }} lantern", "the {{ color }} lantern")
    assert lanterns.build().exit_code == 5


def test_a_refused_key_stops_submitting_and_is_said_once(
    lanterns: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", emulated.environ()["DASHSCOPE_BEIJING_API_KEY"])
    summary = lanterns.build()
    assert summary.exit_code == 5
    assert len(summary.failures) == 1
    assert "region" in summary.failures[0][2]
    assert emulated.prompts() == []


@pytest.mark.parametrize(
    ("account", "code"), [({"arrears": True}, 4), ({"free_only": True}, 4), ({"unpurchased": ["qwen-image-plus"]}, 1)]
)
def test_an_account_that_may_not_submit_stops_with_one_sentence(
    lanterns: Project, emulated: Served, account: dict[str, object], code: int
) -> None:
    emulated.configure(accounts={"singapore": account})
    summary = lanterns.build()
    assert (summary.exit_code, len(summary.failures), emulated.prompts()) == (code, 1, [])


def test_the_same_words_twice_in_one_build_are_paid_once(walked: Project, emulated: Served) -> None:
    walked.manifest(LANTERNS + '  twin: {prompt: "a red lantern", model: qwen-image-plus}\n')
    summary = walked.build()
    assert sorted(emulated.prompts()) == sorted(PROMPTS)
    assert summary.spent == {"usd": Decimal("0.09")}
    assert walked.tree()["twin.png"] == walked.tree()["lanterns/red.png"]


def test_switching_to_the_placeholder_and_back_pays_once(lanterns: Project, emulated: Served) -> None:
    lanterns.build()
    before = lanterns.tree()
    lanterns.edit("provider: dashscope", "provider: placeholder")
    lanterns.build()
    assert lanterns.tree() != before
    lanterns.edit("provider: placeholder", "provider: dashscope")
    lanterns.build()
    assert (lanterns.tree(), len(emulated.prompts())) == (before, 3)


def test_a_retired_model_is_a_notice_and_no_failure(lanterns: Project, emulated: Served) -> None:
    lanterns.build()
    planned = lanterns.plan()
    codes = [notice.code for notice in planned.notices]
    assert [code for code in codes if code != "model-table"] == ["model-retired"]  # the table is old one day
    assert lanterns.build(strict=True).exit_code == 0
