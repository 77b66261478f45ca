"""Answers and files that are well-formed and say something else: nothing is bought twice, nothing given up."""

from __future__ import annotations

import pytest

from tests.campaign import part_answers, part_files
from tests.campaign.lab import APIS, Api
from tests.campaign.mutation import mutants

PART = 20
"""`python -m tests.campaign --whole answers files` tries all of them."""


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
def test_no_mutated_answer_buys_a_picture_twice_or_gives_a_paid_one_up(api: Api) -> None:
    ends = part_answers.run((api,), APIS.index(api), PART)
    assert ends.trials >= 15
    assert ends.faults == []


@pytest.mark.parametrize("first", [3, 13])
def test_no_mutated_file_buys_a_picture_again_or_gives_a_paid_one_up(first: int) -> None:
    ends = part_files.run(first, PART)
    assert ends.trials >= 100
    assert ends.faults == []


def test_a_document_is_mutated_by_every_rule_and_never_left_as_it_is() -> None:
    document = b'{"total": 7, "data": [{"id": "a"}], "done": true}'
    made = {mutant.name: mutant.body for mutant in mutants(document)}
    assert document not in made.values()
    assert {"total dropped", "total null", "data empty", "data/0/id a number", "done negated", "doubled"} <= set(made)
    assert made["total dropped"] == b'{"data": [{"id": "a"}], "done": true}'
