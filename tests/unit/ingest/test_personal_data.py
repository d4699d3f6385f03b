"""Personal data: what names a person is kept as a keyed hash, from the lake on; what is dropped is nowhere."""

from __future__ import annotations

import hmac
import json
from hashlib import sha256
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestration.catalog.sources import Network
from orchestration.ingest.disguise import network_of

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
LINE = f'203.0.113.9 - key-1 [01/Oct/2026:10:00:00 +0000] "GET /v1/a HTTP/1.1" 200 7 "-" "{BROWSER}"\n'


def keyed(instance: Any, text: str) -> str:
    """HMAC-SHA-256 by the standard library, cut as the lake cuts it."""
    return hmac.new(instance.ledger.key, text.encode(), sha256).hexdigest()[:32]


def anywhere_but_raw(instance: Any) -> bytes:
    """The bytes of every file that ingest wrote beside the raw store, Parquet unpacked."""
    found = [json.dumps(row, default=str).encode() for kind in ("events", "quarantine") for row in instance._lake(kind)]
    plain = [p for p in instance.home.rglob("*") if p.is_file() and p.relative_to(instance.home).parts[0] == "scratch"]
    return b"\n".join([*found, *(p.read_bytes() for p in plain), (instance.home / "ledger.sqlite").read_bytes()])


def test_addresses_and_user_agents_are_kept_as_keyed_hashes_only(instance: Any, make_source: Any) -> None:
    instance.put("a.log", LINE * 3)
    assert instance.run(make_source(format="combined")).accepted == 3
    for row in instance.events():
        assert row["address_key"] == keyed(instance, "203.0.113.9")
        assert (row["agent"], row["agent_key"]) == ("Mozilla/5.0", keyed(instance, BROWSER))
        assert row["network"] is None
    kept = anywhere_but_raw(instance)
    assert b"203.0.113.9" not in kept
    assert b"Firefox" not in kept


def test_users_and_hashed_properties_are_equal_where_they_were_equal_and_unreadable(
    instance: Any, make_source: Any
) -> None:
    event = {"specversion": "1.0", "source": "s", "type": "t", "subject": "k", "time": "2026-10-01T10:00:00Z"}
    mails = ["ada@example.org", "bea@example.org", "ada@example.org", None, ""]
    lines = [{**event, "id": str(n), "data": {"mail": mail, "n": n}} for n, mail in enumerate(mails)]
    instance.put("a.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    properties = {"mail": "data.mail", "n": "data.n"}
    source = make_source(format="cloudevents", fields={"user": "data.mail"}, properties=properties, hash=("mail",))
    assert instance.run(source).accepted == 5
    expected = [keyed(instance, mail) if mail else None for mail in mails]
    assert [row["user_key"] for row in instance.events()] == expected
    assert [row["p_mail"] for row in instance.events()] == [*expected[:4], keyed(instance, "")]
    assert [row["p_n"] for row in instance.events()] == ["0", "1", "2", "3", "4"]
    assert b"@example.org" not in anywhere_but_raw(instance)


def test_what_a_source_drops_is_in_no_column(instance: Any, make_source: Any) -> None:
    instance.put("a.log", LINE)
    instance.run(make_source(format="combined", drop=("address", "agent", "path")))
    (row,) = instance.events()
    dropped = ("address_key", "network", "agent", "agent_key", "path")
    assert [row[name] for name in dropped] == [None] * 5
    assert (row["credential"], row["status"], row["bytes"], row["method"]) == ("key-1", 200, 7, "GET")
    for value in ("203.0.113.9", "Mozilla", "/v1/a"):
        assert value.encode() not in anywhere_but_raw(instance)
        assert keyed(instance, value).encode() not in anywhere_but_raw(instance)


def test_the_network_of_an_address_is_derived_before_the_address_is_hashed(instance: Any, make_source: Any) -> None:
    addresses = ["203.0.113.9", "203.0.113.77", "2001:db8:1:2::5", "unix:", "203.0.113.999"]
    instance.put("a.log", "".join(LINE.replace("203.0.113.9", address, 1) for address in addresses))
    instance.run(make_source(format="combined", network=Network()))
    networks = ["203.0.113.0/24", "203.0.113.0/24", "2001:db8:1::/48", None, None]
    assert [row["network"] for row in instance.events()] == networks
    assert [row["address_key"] for row in instance.events()] == [keyed(instance, address) for address in addresses]


@given(st.ip_addresses(), st.integers(8, 28), st.integers(16, 64))
def test_a_network_holds_its_address_and_no_more_of_it_than_asked_for(address: Any, ipv4: int, ipv6: int) -> None:
    bits = ipv4 if address.version == 4 else ipv6
    found = network_of(str(address), Network(ipv4=ipv4, ipv6=ipv6))
    assert found is not None
    base, _, length = found.partition("/")
    assert int(length) == bits
    width = 32 if address.version == 4 else 128
    assert int(type(address)(base)) == int(address) >> (width - bits) << (width - bits)


def test_another_user_agent_of_the_same_family_is_another_payload(instance: Any, make_source: Any) -> None:
    """The hash of the whole agent is part of what is compared, unless the source says that it doesn't matter."""
    line = {"id": "1", "ts": "2026-10-01T10:00:00Z", "key": "k", "ua": BROWSER}
    fields = {"id": "id", "time": "ts", "credential": "key", "agent": "ua"}
    other = {**line, "ua": BROWSER.replace("128.0", "129.0")}
    instance.put("a.jsonl", json.dumps(line) + "\n")
    instance.put("b.jsonl", json.dumps(other) + "\n")
    assert instance.run(make_source(format="json_lines", fields=fields)).conflict == 1
    instance.put("c.jsonl", json.dumps({**other, "id": "2"}) + "\n" + json.dumps({**line, "id": "2"}) + "\n")
    assert instance.run(make_source(format="json_lines", fields=fields, ignore=("agent",))).duplicate == 1
