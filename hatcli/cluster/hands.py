"""Who has which pictures: what is handed out next, and what comes back when a worker is lost."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hatcli.cluster.portions import MOST_PICTURES, ROUNDS, Portions

_FEWEST_WAITING = 2000  # pictures
_LIVES_OF_A_PART = 2  # then its picture is made whole
_NOT_BEGUN = 0.25  # of a life, for a picture that a lost worker had not begun


@dataclass
class _Hand:
    """What a worker has not begun, and begun; whether it is at work, and told that nothing more comes."""

    waiting: set[int] = field(default_factory=set)
    begun: set[int] = field(default_factory=set)
    is_busy: bool = False
    is_ending: bool = False


class Hands:
    """The pictures of a run by number, and who has them.

    Args:
        lives: workers that one picture may cost.
    """

    def __init__(self, lives: int) -> None:
        self._lives = lives
        self._hands: dict[str, _Hand] = {}
        self._lost: dict[int, float] = {}  # lives that pictures have cost
        self._numbers: list[int] = []
        self._portions = Portions([])
        self._back: list[list[int]] = []
        self._open = 0
        self._in_work: dict[int, float] = {}  # pixels of what was handed out and is not done
        self._parts: deque[int] = deque()  # of divided pictures, that are not handed out
        self._are_parts: set[int] = set()
        self.expected = 0  # workers there are or are about to be
        self.are_fed = False  # whether more is to come
        self.divisible: dict[int, int] = {}  # pictures that were handed out to be divided, and into how many parts

    def wait_for(self, numbers: Sequence[int], sizes: Sequence[float]) -> None:
        """These, of such sizes, are to be made, too."""
        places, before = self._portions.rest()
        self._numbers = [*(self._numbers[place] for place in places), *numbers]
        self._portions = Portions([*before, *sizes])
        self._open += len(numbers)

    def divide(self, parts: Sequence[int]) -> None:
        """A picture is made in parts of these numbers; it is not done with them."""
        self._open += len(parts)
        self._parts.extend(parts)
        self._are_parts.update(parts)

    def withdraw(self, parts: Sequence[int]) -> list[int]:
        """Those of these parts that nobody has, which are not made any more."""
        waiting = {*self._parts, *(number for numbers in self._back for number in numbers)}
        withdrawn = [number for number in parts if number in waiting]
        self._parts = deque(number for number in self._parts if number not in withdrawn)
        self._back = [left for numbers in self._back if (left := [n for n in numbers if n not in withdrawn])]
        for number in withdrawn:
            self.done(number)
        return withdrawn

    @property
    def have_room(self) -> bool:
        """Whether so little waits that portions would become small."""
        return len(self._portions) < max(_FEWEST_WAITING, len(self._hands) * ROUNDS * MOST_PICTURES)

    @property
    def are_needed(self) -> bool:
        """Whether something is not done, or still to come."""
        return self._open > 0 or self.are_fed

    @property
    def are_busy(self) -> bool:
        """Whether a worker is at work."""
        return any(hand.is_busy for hand in self._hands.values())

    def join(self, worker: str) -> None:
        """A worker with empty hands."""
        self._hands[worker] = _Hand()

    def rest(self, worker: str) -> None:
        """A worker has ended its shift; what it did not come to is for others."""
        hand = self._hands[worker]
        self._put_back([*hand.begun, *hand.waiting])
        self._hands[worker] = _Hand()

    def lose(self, worker: str) -> list[int]:
        """A worker is gone; the pictures that are given up for it."""
        hand = self._hands.pop(worker, _Hand())
        given_up = []
        for number in sorted(hand.begun | hand.waiting):
            cost = 1.0 if number in hand.begun else _NOT_BEGUN
            self._lost[number] = self._lost.get(number, 0.0) + cost
            if self._lost[number] >= (_LIVES_OF_A_PART if number in self._are_parts else self._lives):
                given_up.append(number)
                self.done(number)
            elif number in hand.begun:
                self._put_back([number])  # alone, lest it takes others with it
        self._put_back(sorted(hand.waiting.difference(given_up)))
        return given_up

    def lack(self, number: int) -> None:
        """Something is to be done for a picture once more, as its result has vanished, or its parts are there."""
        self._put_back([number])

    def begin(self, worker: str, number: int) -> None:
        """A worker begins a picture."""
        hand = self._hands[worker]
        hand.waiting.discard(number)
        hand.begun.add(number)

    def end(self, worker: str, number: int) -> None:
        """A worker is done with a picture."""
        hand = self._hands[worker]
        hand.waiting.discard(number)
        hand.begun.discard(number)

    def done(self, number: int) -> None:
        """Nothing more is to be done for a picture."""
        self._open -= 1
        self._lost.pop(number, None)
        self._in_work.pop(number, None)
        self._are_parts.discard(number)

    def _put_back(self, numbers: list[int]) -> None:
        if numbers:
            self._back.append(numbers)

    def portions(self) -> Iterator[tuple[str, list[int]]]:
        """A portion for each worker that has begun all it has, those who have nothing at all first."""
        ready = [(name, hand) for name, hand in self._hands.items() if not hand.waiting and not hand.is_ending]
        for name, hand in sorted(ready, key=lambda one: len(one[1].begun)):
            numbers = self._next(is_idle=not hand.begun)
            if not numbers:
                return
            hand.waiting.update(numbers)
            hand.is_busy = True
            yield name, numbers

    def _next(self, *, is_idle: bool) -> list[int]:
        if self._back:
            return self._back.pop()
        if is_idle and self._parts:  # whoever is at work would only keep others from them
            return [self._parts.popleft()]
        workers = max(len(self._hands), self.expected)
        parts = 1 if self.are_fed else self._portions.parts(workers, lambda: sum(self._in_work.values()))
        places = self._portions.next(workers)
        for place in places:
            self._in_work[self._numbers[place]] = self._portions.size(place)
        if parts > 1:
            self.divisible[self._numbers[places[0]]] = parts
        return [self._numbers[place] for place in places]

    def ending(self) -> Iterator[str]:
        """Workers that are to be told that nothing more comes."""
        if self._back or self._parts or self._portions or self.are_fed:
            return
        for name, hand in self._hands.items():
            if hand.is_busy and not hand.is_ending:
                hand.is_ending = True
                yield name
