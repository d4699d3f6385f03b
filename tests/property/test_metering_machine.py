"""An instance that is lived in: files come late, twice and changed, the catalog is edited, the warehouse is lost.

Whatever happened before, after each step every mart equals what the oracle computes from all events and the catalog of
that moment. A step costs a build, so a life is a seeded walk: CAMPAIGN_STEPS says how many builds, CAMPAIGN_LIFE
names the seeds.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from meter_home import Home
from meter_worlds import FEEDS, KINDS, ZONES, Maker, World
from oracle_readings import Event, counted, holds
from oracle_time import DAY, HOUR
from pydantic import TypeAdapter

from orchestration.catalog.meters import Filter
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.retract import write_list

STEPS = int(os.environ.get("CAMPAIGN_STEPS", "4"))
LIVES = [int(seed) for seed in os.environ.get("CAMPAIGN_LIFE", "1").split(",")]


class Life:
    """A small world and what may happen to it. Each step says what it did; `waiting` are events not yet delivered."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.dice = random.Random(seed)
        self.maker = Maker(seed, customers=4)
        self.world: World = self.maker.world(events=300, meters=14, batches=1)
        self.waiting = list({event.identity: event for event in self.world.batches.pop()}.values())
        self.dice.shuffle(self.waiting)
        self.home = Home(folder, self.world)
        self.sent: list[Event] = []
        self.steps: dict[str, Callable[[], object]] = {
            "deliver": self.deliver,
            "duplicate": lambda: self.home.deliver(self.some_sent(20)),
            "conflict": lambda: self.home.deliver([self.maker.altered(e) for e in self.some_sent(3)]),
            "delay": self.delay,
            "hand over": self.hand_over,
            "attribute": self.attribute,
            "move": self.move,
            "resubscribe": self.resubscribe,
            "meter added": self.add_meter,
            "meter changed": self.change_meter,
            "dimension added": self.add_dimension,
            "retract": self.retract,
            "retract a line": self.retract_line,
            "retract by filter": self.retract_chosen,
            "restore": self.restore,
            "rebuild": lambda: self.lose("warehouse"),
            "from raw": lambda: self.lose("warehouse", "lake"),
        }

    def order(self) -> list[list[str]]:
        """What happens before each build, one to three things: first a delivery, then everything in any order."""
        rest = [name for name in self.steps if name != "deliver"]
        self.dice.shuffle(rest)
        order = [["deliver"]]
        while rest:
            size = self.dice.choice([1, 2, 3])
            order.append([*rest[:size], *["deliver"] * self.dice.choice([0, 1])])
            del rest[:size]
        return order

    def some_sent(self, count: int) -> list[Event]:
        """Events that were delivered, each once."""
        distinct = list({event.identity: event for event in self.sent}.values())
        return self.dice.sample(distinct, min(count, len(distinct)))

    def deliver(self) -> None:
        """Events of all days, so that most come late."""
        count = self.dice.choice([1, 2, 20, 80])
        sent, self.waiting = self.waiting[:count], self.waiting[count:]
        sent += [self.maker.event(self.dice.choice(self.maker.names)) for _ in range(count - len(sent))]
        self.sent += sent
        self.home.deliver(sent)

    def delay(self) -> None:
        """Days pass in which nothing comes: what is carried goes on."""
        self.maker.now_us = self.world.now_us = self.world.now_us + self.dice.choice([HOUR, DAY, 9 * DAY])

    def hand_over(self) -> None:
        """A key in use becomes another customer's from an instant on."""
        row = self.dice.choice([c for c in self.world.credentials if "valid_to" not in c and "valid_from" not in c])
        other = self.dice.choice([name for name in self.maker.names if name != row["customer"]])
        row["valid_to"] = self.maker.text(self.maker.instant(self.maker.zones[other]))
        self.world.credentials.append({**row, "customer": other, "valid_to": None, "valid_from": row["valid_to"]})

    def attribute(self) -> None:
        """The key that nobody knew is known, from the beginning."""
        known = [c for c in self.world.credentials if c["credential"] != "stranger"]
        self.world.credentials[:] = [*known, {"credential": "stranger", "customer": self.dice.choice(self.maker.names)}]

    def move(self) -> None:
        customer = self.dice.choice(self.world.customers)
        customer["zone"] = self.dice.choice([zone for zone in ZONES if zone != customer["zone"]])

    def resubscribe(self) -> None:
        self.world.subscriptions[:] = self.maker.subscriptions()

    def add_meter(self) -> None:
        number = len(self.world.meters)
        kind, carries = self.dice.choice([("sum", False), ("latest", False), ("level", True), ("max", True)])
        self.world.meters.append(self.maker.meter(f"x{number}_added", kind, carries))

    def change_meter(self) -> None:
        meter = self.dice.choice(self.world.meters)
        meter["filter"] = self.maker.filter(2)
        meter["event_type"] = self.dice.choice(KINDS)

    def add_dimension(self) -> None:
        meter = self.dice.choice(self.world.meters)
        meter["dimensions"] = self.dice.sample(["model", "region", "status"], 2)

    def retract(self) -> None:
        """Events by their source and id, one of which never comes."""
        for event in [*self.some_sent(3), self.maker.event("c00")]:
            self.home.retract({"source": event.source, "id": event.event_id}, {event.identity})

    def retract_line(self) -> None:
        """The events of lines of which there are no copies, so that each counts by its line."""
        path = self.dice.choice(sorted(self.home.files))
        found = Counter(event.identity for name in self.home.files for event in self.home.files[name])
        # The first line comes twice in its file.
        for line, event in list(enumerate(self.home.files[path], 1))[1:6]:
            if found[event.identity] == 1:
                self.home.retract({"path": path, "line": line}, {event.identity})

    def retract_chosen(self) -> None:
        """What a filter chooses of the events that have come; what comes later is not on its list."""
        row = {"name": f"list-{len(self.home.retractions)}", "filter": self.maker.filter(1)}
        row["from"] = self.maker.text(self.maker.now_us - 9 * DAY)
        row["feed"] = FEEDS[0]
        node = TypeAdapter(Filter).validate_python(row["filter"])
        known = [e for e in counted(self.home.delivered) if e.time_us >= self.maker.now_us - 9 * DAY]
        names = {e.identity for e in known if e.feed == row["feed"] and holds(node, e)}
        if names:
            self.home.retract(row, names)
            self.home.write_catalog()
            write_list(Context(Instance(self.home.folder), self.world.now_us), row["name"])

    def restore(self) -> None:
        """One event, and a whole list."""
        retracted = sorted(self.home.retracted)
        for source, name in retracted[:1]:
            self.home.retract({"source": source, "id": name, "restore": True}, {(source, name)})
        lists = [(row["name"], names) for row, names in self.home.retractions if "name" in row]
        for name, names in lists[:1]:
            self.home.retract({"name": name, "restore": True}, names)

    def lose(self, *folders: str) -> None:
        """What is left is durable: raw files, the ledger and the catalog."""
        for name in folders:
            shutil.rmtree(self.home.folder / name, ignore_errors=True)


@pytest.mark.parametrize("seed", LIVES)
def test_whatever_happens_in_whatever_order_the_marts_are_those_of_the_oracle(
    tmp_path: Path, show: Callable[[str], None], seed: int
) -> None:
    life = Life(tmp_path / "home", seed)
    done: list[str] = []
    for together in life.order()[:STEPS]:
        for step in together:
            life.steps[step]()
        life.home.write_catalog()
        life.home.run()
        done.append(" + ".join(together))
        assert life.home.differences() == [], f"CAMPAIGN_LIFE={seed}, after {', '.join(done)}"
    assert not life.home.run()
    show(f" CAMPAIGN_LIFE={seed}: {', '.join(done)}")
