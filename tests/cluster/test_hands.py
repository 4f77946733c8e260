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


def large(workers: int) -> Hands:
    """So many workers, one picture, and nothing else."""
    hands = Hands(4)
    hands.expected = workers
    hands.wait_for([7], [50e6])
    hands.join("a")
    return hands


def test_parts_go_to_those_who_have_nothing_and_the_picture_comes_back_to_be_joined() -> None:
    hands = large(workers=3)
    assert list(hands.portions()) == [("a", [7])]
    assert hands.divisible == {7: 3}
    hands.begin("a", 7)
    hands.end("a", 7)
    hands.divide([20, 21, 22])
    assert list(hands.portions()) == [("a", [20])]
    hands.begin("a", 20)
    assert list(hands.portions()) == []  # a part would wait behind another
    hands.join("b")
    hands.join("c")
    assert sorted(hands.portions()) == [("b", [21]), ("c", [22])]
    for name, number in (("a", 20), ("b", 21), ("c", 22)):
        hands.begin(name, number)
        hands.end(name, number)
        hands.done(number)
    assert hands.are_needed
    hands.lack(7)
    assert len(list(hands.portions())) == 1
    assert hands.divisible == {7: 3}  # as it was handed out first; it is not divided anew
    hands.done(7)
    assert not hands.are_needed


def test_nothing_is_divided_while_pictures_are_still_being_found() -> None:
    hands = large(workers=3)
    hands.are_fed = True
    assert list(hands.portions()) == [("a", [7])]
    assert hands.divisible == {}


def test_a_part_costs_two_workers_at_most_and_its_picture_is_not_done_with_it() -> None:
    hands = large(workers=2)
    list(hands.portions())
    hands.begin("a", 7)
    hands.end("a", 7)
    hands.divide([20, 21])
    hands.lose("a")
    for name, given_up in (("b", []), ("c", [20])):
        hands.join(name)
        assert list(hands.portions()) == [(name, [20])]
        hands.begin(name, 20)
        assert hands.lose(name) == given_up
    assert hands.withdraw([20, 21]) == [21]
    hands.lack(7)
    hands.join("d")
    assert list(hands.portions()) == [("d", [7])]


def test_parts_that_nobody_has_can_be_withdrawn() -> None:
    hands = large(workers=3)
    list(hands.portions())
    hands.end("a", 7)
    hands.divide([20, 21, 22])
    list(hands.portions())
    assert hands.withdraw([20, 21, 22]) == [21, 22]
    assert list(hands.portions()) == []
    hands.begin("a", 20)
    hands.end("a", 20)
    hands.done(20)
    assert hands.are_needed
    hands.done(7)
    assert not hands.are_needed
