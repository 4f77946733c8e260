"""Who has which pictures: each is done once, and what a lost worker had comes back, its suspects alone."""

from __future__ import annotations

import random

from hatcli.cluster.hands import Hands


def waiting(count: int, lives: int = 4) -> Hands:
    hands = Hands(lives)
    hands.wait_for(range(100, 100 + count), [10.0] * count)
    return hands


def test_workers_who_have_nothing_are_served_first() -> None:
    hands = waiting(64)
    hands.join("busy")
    (given,) = list(hands.portions())
    for number in given[1]:
        hands.begin("busy", number)
    hands.join("idle")
    assert [name for name, _ in hands.portions()] == ["idle", "busy"]
    assert list(hands.portions()) == []  # both have what they have not begun


def test_what_a_lost_worker_had_begun_comes_back_alone_and_the_rest_together() -> None:
    hands = waiting(32)
    hands.join("a")
    ((_, numbers),) = list(hands.portions())
    hands.begin("a", numbers[0])
    hands.begin("a", numbers[1])
    hands.end("a", numbers[1])
    hands.done(numbers[1])
    assert hands.lose("a") == []
    hands.join("b")
    again = []
    while portions := [numbers for _, numbers in hands.portions()]:
        for number in portions[0]:
            hands.begin("b", number)
        again += portions
    assert [numbers[0]] in again
    assert sorted(number for portion in again for number in portion) == sorted(set(range(100, 132)) - {numbers[1]})


def test_a_picture_that_kills_its_workers_is_given_up_and_no_other_is() -> None:
    hands, given_up = waiting(8, lives=3), []
    made: list[int] = []
    for life in range(40):
        name = str(life)
        hands.join(name)
        killed = False
        while not killed and (portions := list(hands.portions())):
            for number in portions[0][1]:
                hands.begin(name, number)
                if killed := number == 105:
                    break
                hands.end(name, number)
                hands.done(number)
                made.append(number)
        if killed:
            given_up += hands.lose(name)
    assert given_up == [105]
    assert sorted(made) == [number for number in range(100, 108) if number != 105]
    assert not hands.are_needed


def test_random_losses_leave_nothing_out_and_make_nothing_twice() -> None:
    chance = random.Random(3)
    hands = waiting(500, lives=50)
    made: list[int] = []
    has: dict[str, list[int]] = {}
    for step in range(20_000):
        if not hands.are_needed:
            break
        if len(has) < 3:
            has[str(step)] = []
            hands.join(str(step))
        for name, numbers in hands.portions():
            has[name] += numbers
        list(hands.ending())
        name = chance.choice(list(has))
        if chance.random() < 0.02:
            del has[name]
            hands.lose(name)
        elif has[name]:
            number = has[name].pop(0)
            hands.begin(name, number)
            if chance.random() < 0.9:
                hands.end(name, number)
                hands.done(number)
                made.append(number)
            else:
                has[name].insert(0, number)
        else:
            hands.rest(name)
    assert sorted(made) == list(range(100, 600))
