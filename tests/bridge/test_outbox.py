"""What waits for the broker: against a slow model that keeps everything."""

from __future__ import annotations

from collections import Counter, defaultdict

from hypothesis import given
from hypothesis import strategies as st

from qshim.bridge.outbox import Outbox, Outgoing

MACHINES = st.sampled_from(["a", "b", "c"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), MACHINES, st.integers(0, 9)),
        st.tuples(st.just("retain"), st.sampled_from(["t", "u"]), st.integers(0, 2)),
        st.tuples(st.just("repeat"), st.sampled_from(["t", "u"]), st.just(0)),
        st.tuples(st.just("take"), st.just(""), st.just(0)),
        st.tuples(st.just("deliver"), st.just(""), st.integers(0, 5)),
        st.tuples(st.just("lost"), st.just(""), st.just(0)),
    ),
    max_size=80,
)


class Model:
    """An outbox and a broker that is told what is delivered, with all that ever happened."""

    def __init__(self, events: int, size: int) -> None:
        self.limits = events, size
        self.box = Outbox(events, size)
        self.added: dict[str, list[int]] = defaultdict(list)
        self.flying: list[Outgoing] = []
        self.got: dict[str, list[int]] = defaultdict(list)
        """Machine -> numbers of its events that the broker has."""
        self.kept: dict[str, bytes] = {}
        self.wanted: dict[str, bytes] = {}
        self.since_lost: dict[str, list[int]] = defaultdict(list)
        self.number = 0

    def do(self, what: str, name: str, amount: int) -> None:
        if what == "add":
            self.number += 1
            self.added[name].append(self.number)
            self.box.add(name, f"event/{self.number}", b"x" * amount)
        elif what == "retain":
            self.wanted[name] = b"v" * amount
            self.box.retain(name, self.wanted[name])
        elif what == "repeat":
            self.box.repeat(name)
        elif what == "take":
            self.take()
        elif what == "deliver" and self.flying:
            self.deliver(self.flying[amount % len(self.flying)])
        elif what == "lost":
            self.box.lost()
            self.flying.clear()
            self.since_lost.clear()

    def take(self) -> bool:
        message = self.box.take()
        if message is None:
            return False
        self.flying.append(message)
        if message.machine is not None:
            self.since_lost[message.machine].append(number_of(message))
        return True

    def deliver(self, message: Outgoing) -> None:
        self.flying.remove(message)
        self.box.delivered(message)
        if message.machine is None:
            self.kept[message.topic] = message.payload
        else:
            self.got[message.machine].append(number_of(message))

    def drain(self) -> None:
        """A broker that takes everything, in the order in which it is given."""
        while self.take():
            pass
        for message in list(self.flying):
            self.deliver(message)


def number_of(message: Outgoing) -> int:
    return int(message.topic.partition("/")[2])


@given(STEPS, st.integers(1, 6), st.integers(1, 30))
def test_every_event_arrives_in_order_or_is_counted(steps: list[tuple[str, str, int]], events: int, size: int) -> None:
    model = Model(events, size)
    for step in steps:
        model.do(*step)
        for taken in model.since_lost.values():
            assert taken == sorted(set(taken)), "one machine's events are taken out of order, or twice"
        in_flight = [m for m in model.flying if m.machine is not None]
        assert model.box.events <= max(events, len(in_flight))
        assert model.box.size <= max(size, sum(len(m.payload) for m in in_flight))
    model.drain()
    assert model.box.empty
    assert (model.box.events, model.box.size) == (0, 0)
    for machine, added in model.added.items():
        got = set(model.got[machine])
        assert got <= set(added)
        # a message that was in flight when the connection was lost may have arrived: then it is not missing
        assert len(added) - len(got) <= model.box.dropped.get(machine, 0)
    assert sum(model.box.dropped.values()) <= model.number


@given(STEPS)
def test_nothing_is_dropped_where_there_is_room(steps: list[tuple[str, str, int]]) -> None:
    model = Model(1000, 100_000)
    for step in steps:
        model.do(*step)
    model.drain()
    assert dict(model.box.dropped) == {}
    for machine, added in model.added.items():
        assert sorted(set(model.got[machine])) == added
        if not any(step[0] == "lost" for step in steps):
            assert Counter(model.got[machine]) == Counter(added), "sent twice without a lost connection"


@given(STEPS)
def test_the_broker_ends_up_with_the_last_values(steps: list[tuple[str, str, int]]) -> None:
    model = Model(1000, 100_000)
    for step in steps:
        model.do(*step)
    model.drain()
    assert {topic: value for topic, value in model.kept.items() if value} == {
        topic: value for topic, value in model.wanted.items() if value
    }


def test_after_a_loss_every_value_is_told_again() -> None:
    box = Outbox(10, 1000)
    for topic in ("t", "u"):
        box.retain(topic, b"1")
    while (message := box.take()) is not None:
        box.delivered(message)
    assert box.empty
    box.lost()
    told = [message.topic for message in iter(box.take, None)]
    assert told == ["t", "u"]


def test_a_machine_that_floods_costs_the_others_nothing() -> None:
    box = Outbox(10, 1000)
    box.add("quiet", "q/1", b"x")
    for number in range(100):
        box.add("loud", f"l/{number}", b"x")
    taken = [message.topic for message in iter(box.take, None)]
    assert "q/1" in taken
    assert taken[-1] == "l/99", "the newest stay"
    assert dict(box.dropped) == {"loud": 91}


def test_machines_take_turns() -> None:
    box = Outbox(10, 1000)
    for number in range(3):
        box.add("a", f"a{number}", b"")
    box.add("b", "b0", b"")
    assert [message.topic for message in iter(box.take, None)] == ["a0", "b0", "a1", "a2"]


def test_values_that_nobody_took_are_replaced() -> None:
    box = Outbox(10, 1000)
    for number in range(100):
        box.retain("t", str(number).encode())
    assert [message.payload for message in iter(box.take, None)] == [b"99"]
    box.retain("t", b"99")
    assert box.take() is None, "it is no news"
