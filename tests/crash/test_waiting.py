"""kill -9 between question and end, many answerers at once: nothing is asked twice, nothing answered twice.

The long form, `pytest -m long tests/crash/test_waiting.py`, tries 50 moments of each way.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from kitaru.model.records import Answer, Wait
from tests.crash.test_races import race, told
from tests.crash.workers import LIMIT_S

VALUE = {"approved": True, "n": 2}
NO_MOMENT = ("before", 0)


@pytest.fixture
def make_asking(make_place):
    def make(durability="power-loss"):
        place = make_place(durability)
        shutil.copyfile(Path(__file__).parent / "flows" / "questions.py", place.root / "questions.py")
        return place

    return make


def until(holds):
    deadline = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.002)


def of_kind(place, run, kind):
    return [stored for stored in place.project().repo.records(run) if isinstance(stored.record, kind)]


def names_of(place, run):
    project = place.project()
    found = [project.repo.answer(run, stored.record.digest) for stored in of_kind(place, run, Wait)]
    return [name for name in found if name is not None]


def look(place):
    """What must still be there, and be the only one of its kind, at the end."""
    run = place.only_run()
    if run is None:
        return [], []
    return [stored.id for stored in of_kind(place, run, Wait)], [name.nonce for name in names_of(place, run)]


def one_step(place, flow="approval"):
    """Do what a person would: start, carry on, or answer; tell whether there was something left to do."""
    run = place.only_run()
    if run is None:
        place.kitaru("run", "-q", f"questions.py:{flow}")
        return True
    project = place.project()
    state = project.state(run)
    if state.status == "completed":
        return False
    open_ = [view for view in state.open_questions if project.given(state, view) is None]
    words = ["answer", "-q", run, open_[0].label, "true", "--by", "late"] if open_ else ["resume", "-q", run]
    place.kitaru(*words)
    return True


def finish(place):
    waits, answers = look(place)
    did = Counter(place.did())
    steps = 0
    while one_step(place):
        steps += 1
        assert steps < 4, "it does not come to an end"
    run = place.only_run()
    project = place.project()
    state = project.state(run)
    assert project.value(state.end.output, run) == VALUE
    asked, taken = of_kind(place, run, Wait), of_kind(place, run, Answer)
    assert len(asked) == len(taken) == 1
    assert [stored.id for stored in asked][: len(waits)] == waits
    assert [name.nonce for name in names_of(place, run)][: len(answers)] == answers
    assert taken[0].record.by == names_of(place, run)[0].by
    after = Counter(place.did())
    assert all(1 <= after[n] <= did[n] + 1 <= 2 or after[n] == 1 for n in (1, 2))
    place.is_clean()


def finish_branches(place):
    waits, answers = look(place)
    did = Counter(place.did())
    steps = 0
    while one_step(place, "branches"):
        steps += 1
        assert steps < 6, "it does not come to an end"
    run = place.only_run()
    project = place.project()
    values = project.value(project.state(run).end.output, run)
    assert values == [{"n": "staging", "approved": True}, {"n": "prod", "approved": True}]
    asked, taken = of_kind(place, run, Wait), of_kind(place, run, Answer)
    assert len({stored.record.digest for stored in asked}) == len(asked) == len(taken) == 2
    assert {stored.id for stored in asked} >= set(waits)
    assert {name.nonce for name in names_of(place, run)} >= set(answers)
    after = Counter(place.did())
    assert all(1 <= after[n] <= did[n] + 1 <= 2 or after[n] == 1 for n in (3, 4))
    place.is_clean()


# -- the ways to die ---------------------------------------------------------------------------------------------------


def killed(place, words, moment, part):
    """Give a command and kill it at a part of its system calls, counted on a place of its own."""
    return place.kitaru(*words, TRIAL=f"KILL:{moment}:{part}").code == -signal.SIGKILL


def counted(place, *words):
    count = place.effects.with_name("count")
    place.kitaru(*words, COUNT=str(count))
    return int(count.read_text())


def asking(place):
    """A run that waits."""
    assert place.kitaru("run", "-q", "questions.py:approval").code == 3
    return place.only_run()


def while_asking(make, moment, part):
    whole = counted(make(), "run", "-q", "questions.py:approval")
    place = make()
    died = killed(place, ["run", "-q", "questions.py:approval"], moment, max(1, round(whole * part)))
    return place, died


def while_answering(make, moment, part):
    words = "answer", "-q", "@", "true", "--by", "first"
    first = make()
    asking(first)
    whole = counted(first, *words)
    place = make()
    asking(place)
    return place, killed(place, words, moment, max(1, round(whole * part)))


def while_resuming(make, moment, part):
    def answered():
        place = make()
        asking(place)
        assert place.kitaru("answer", "@", "true", "--by", "first", "--no-resume").code == 0
        return place

    whole = counted(answered(), "resume", "-q", "@")
    place = answered()
    return place, killed(place, ["resume", "-q", "@"], moment, max(1, round(whole * part)))


def while_lapsing(make, moment, part):
    whole = counted(make(), "run", "-q", "questions.py:lapsing")
    place = make()
    return place, killed(place, ["run", "-q", "questions.py:lapsing"], moment, max(1, round(whole * part)))


def polling(place, stay="60"):
    """A process that stays for an answer."""
    worker = place.starting("run", "-q", "questions.py:approval", f"stay={stay}")
    until(lambda: place.only_run() is not None and place.project().state(place.only_run()).open_questions)
    return worker, place.only_run()


def while_polling(make, moment, part):
    """Before the answer; or after it, whether it was seen or not."""
    place = make()
    worker, run = polling(place)
    if moment == "after":
        assert place.kitaru("answer", run, "true", "--by", "first", "--no-resume").code == 0
        time.sleep(part / 4)  # within what it takes to notice
    return place, worker.kill().code == -signal.SIGKILL


WAYS = [while_asking, while_answering, while_resuming, while_lapsing, while_polling]


def try_moments(make, way, moments):
    deaths = 0
    for moment, part in moments:
        place, died = way(make, moment, part)
        deaths += died
        finish(place)
    assert deaths


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_killed_at_a_few_moments(make_asking, way):
    try_moments(make_asking, way, [("before", 0.3), ("after", 0.5), ("after", 0.7), ("before", 0.9)])


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_long_fifty_moments(make_asking, way):
    chance = random.Random(50)
    try_moments(make_asking, way, [(chance.choice(["before", "after"]), chance.random()) for _ in range(50)])


def try_branches(make, moments):
    """Die while both are asked, or while one of them is answered and carried on."""

    def both_asked():
        place = make()
        assert place.kitaru("run", "-q", "questions.py:branches").code == 3
        return place

    run, answer = ["run", "-q", "questions.py:branches"], ["answer", "-q", "@", "approve#2", "true"]
    ways = [(make, run, counted(make(), *run)), (both_asked, answer, counted(both_asked(), *answer))]
    deaths = 0
    for n, (moment, part) in enumerate(moments):
        begin, words, whole = ways[n % 2]
        place = begin()
        deaths += killed(place, words, moment, max(1, round(whole * part)))
        finish_branches(place)
    assert deaths


def test_killed_with_two_questions_at_once(make_asking):
    try_branches(make_asking, [("before", 0.4), ("after", 0.3), ("after", 0.8), ("before", 0.7)])


@pytest.mark.long
def test_long_killed_with_two_questions_at_once(make_asking):
    chance = random.Random(51)
    try_branches(make_asking, [(chance.choice(["before", "after"]), chance.random()) for _ in range(50)])


# -- many answerers ----------------------------------------------------------------------------------------------------


def many_answerers(place, rounds, people=20):
    for _ in range(rounds):
        place.kitaru("run", "-q", "questions.py:approval")
        run = place.project().find_run("@")
        words = [[["answer", "-q", run, "approve", "true", "--by", f"p{n}"]] for n in range(people)]
        ended = [told(racer)[0] for racer in race(place, *words)]
        assert Counter(e.code for e in ended) == {0: 1, 6: people - 1}, [e.err for e in ended]
        winner = next(n for n, e in enumerate(ended) if e.code == 0)
        assert all(f"was answered by p{winner} at 20" in e.err for e in ended if e.code == 6)
        (taken,) = of_kind(place, run, Answer)
        assert taken.record.by == f"p{winner}"
        assert place.project().state(run).status == "completed"


def test_of_twenty_answerers_one_wins(make_asking):
    place = make_asking()
    many_answerers(place, 1)
    assert place.did() == [1, 2]
    place.is_clean()


@pytest.mark.long
def test_long_of_twenty_answerers_one_wins(make_asking):
    many_answerers(make_asking(), 20)


def test_an_answer_to_a_process_that_stays(make_asking):
    place = make_asking()
    worker, run = polling(place)
    ended = place.kitaru("answer", "-q", run, "true", "--by", "ann")
    assert (ended.code, json.loads(ended.out)) == (0, VALUE), ended.err
    told_ = worker.wait()
    assert (told_.code, json.loads(told_.out)) == (0, VALUE), told_.err
    assert place.did() == [1, 2]
    place.is_clean()


def letting_go(make, rounds):
    """The process lets go while the answer comes, a little before or after."""
    chance = random.Random(7)
    for _ in range(rounds):
        place = make("process-crash")
        worker, run = polling(place, stay=str(0.2 + chance.random() / 5))
        threading.Event().wait(chance.random() / 4)
        ended = place.kitaru("answer", "-q", run, "true", "--by", "ann")
        assert (ended.code, json.loads(ended.out)) == (0, VALUE), ended.err
        assert worker.wait().code in (0, 3)
        assert place.did() == [1, 2]
        assert len(of_kind(place, run, Answer)) == len(of_kind(place, run, Wait)) == 1


def test_an_answer_to_a_process_that_is_just_letting_go(make_asking):
    letting_go(make_asking, 3)


@pytest.mark.long
def test_long_an_answer_to_a_process_that_is_just_letting_go(make_asking):
    letting_go(make_asking, 50)


def test_two_answers_at_once_to_two_branches(make_asking):
    place = make_asking()
    assert place.kitaru("run", "-q", "questions.py:branches").code == 3
    run = place.only_run()
    questions = {w.record.question: w.label for w in place.project().state(run).open_questions}
    racers = race(
        place,
        [["answer", "-q", run, questions["delete staging?"], "true", "--by", "ann"]],
        [["answer", "-q", run, questions["delete prod?"], "false", "--by", "bob"]],
    )
    ended = [told(racer)[0] for racer in racers]
    assert {e.code for e in ended} <= {0, 3}, [e.err for e in ended]
    project = place.project()
    state = project.state(run)
    assert state.status == "completed"
    values = project.value(state.end.output, run)
    assert values == [{"n": "staging", "approved": True}, {"n": "prod", "approved": False}]
    assert sorted(place.did()) == [3, 4]
    place.is_clean()
