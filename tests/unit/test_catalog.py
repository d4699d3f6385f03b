"""The catalog: everything wrong in one go, with file and line, before anything is read or priced."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestration.catalog import load_catalog
from orchestration.catalog.load import from_archive, parse_catalog
from orchestration.errors import CatalogInvalid
from orchestration.settings import REPOSITORY

GOOD = {
    "instance.yaml": "entities:\n  - {key: seller, name: Seller, address: A}\n",
    "sources.yaml": "sources:\n  - {name: gw, path: '*.log', format: common, properties: {size: bytes}}\n",
    "meters.yaml": (
        "meters:\n"
        "  - {key: requests, name: R, event_type: request, aggregation: count}\n"
        "  - {key: peak, name: P, event_type: request, aggregation: max, value: size}\n"
    ),
    "plans/basic.yaml": (
        "key: basic\n"
        "name: Basic\n"
        "currency: USD\n"
        "versions:\n"
        "  - effective: 2026-01-01\n"
        "    charges:\n"
        "      - key: requests\n"
        "        name: Requests\n"
        "        model: graduated\n"
        "        meter: requests\n"
        "        tiers:\n"
        "          - {up_to: '10', price: '0.10'}\n"
        "          - {price: '0.05'}\n"
        "      - key: fee\n"
        "        name: Fee\n"
        "        model: flat\n"
        "        amount: '5.00'\n"
    ),
    "customers.csv": "customer,name,address,country,zone,entity\nacme,Acme,A,DE,Europe/Berlin,seller\n",
    "credentials.csv": "credential,customer,source,valid_from,valid_to\nk1,acme,,,\n",
    "subscriptions.csv": "subscription,customer,plan,start,end,stacking\ns1,acme,basic,2026-01-01,,\n",
}


def problems(**changed: str) -> list[str]:
    """What is wrong with the good catalog after replacing files; `plans__basic` stands for plans/basic.yaml."""
    texts = {name: changed.get(name.rsplit(".", 1)[0].replace("/", "__"), text) for name, text in GOOD.items()}
    try:
        parse_catalog(texts)
    except CatalogInvalid as error:
        assert error.exit_code == 2
        return [str(p) for p in error.problems]
    return []


def swap(name: str, old: str, new: str) -> list[str]:
    """What is wrong after replacing a text in one file."""
    assert old in GOOD[name]
    return problems(**{name.rsplit(".", 1)[0].replace("/", "__"): GOOD[name].replace(old, new)})


def test_the_good_catalog_and_the_example_are_valid() -> None:
    assert problems() == []
    assert load_catalog(REPOSITORY / "data" / "catalog").customers


def test_an_archived_catalog_is_the_same_catalog() -> None:
    catalog = parse_catalog(GOOD)
    again = from_archive(catalog.archive())
    assert (again.digest, again.plans, again.subscriptions) == (catalog.digest, catalog.plans, catalog.subscriptions)
    assert catalog.archive() == again.archive()
    spaced = parse_catalog(GOOD | {"plans/basic.yaml": GOOD["plans/basic.yaml"] + "# a remark\n"})
    assert spaced.digest != catalog.digest


PLAN = "plans/basic.yaml"


@pytest.mark.parametrize(
    ("name", "old", "new", "where", "message"),
    [
        (PLAN, "meter: requests", "meter: calls", f"{PLAN}:7", "unknown meter 'calls'"),
        (PLAN, "        amount: '5.00'\n", "", f"{PLAN}:14", "missing price"),
        (PLAN, "price: '0.05'", "price: 0.05", f"{PLAN}:13", "quoted text"),
        (PLAN, "amount: '5.00'", "amount: 5", f"{PLAN}:17", "quoted text"),
        (PLAN, "amount: '5.00'", "amount: '5,00'", f"{PLAN}:17", "not a plain decimal"),
        (PLAN, "amount: '5.00'", "amount: '٥.٠٠'", f"{PLAN}:17", "not a plain decimal"),
        (PLAN, "amount: '5.00'", "amount: '1e3'", f"{PLAN}:17", "not a plain decimal"),
        (PLAN, "amount: '5.00'", "amount: '-5.00'", f"{PLAN}:17", "not a plain decimal"),
        (PLAN, "amount: '5.00'", "amount: '5.001'", f"{PLAN}:14", "more decimals than USD"),
        (PLAN, "price: '0.05'", "price: '0.0000000000001'", f"{PLAN}:13", "12 after the point"),
        (PLAN, "currency: USD", "currency: usd", f"{PLAN}:3", "unknown currency 'usd'"),
        (PLAN, "currency: USD", "currency: XAU", f"{PLAN}:3", "unknown currency 'XAU'"),
        (PLAN, "effective: 2026-01-01", "effective: 2026-02-30", f"{PLAN}:5", "effective"),
        (PLAN, "effective: 2026-01-01", "effective: 01/02/2026", f"{PLAN}:5", "YYYY-MM-DD"),
        (PLAN, "{price: '0.05'}", "{up_to: '99', price: '0.05'}", f"{PLAN}:7", "quantities above it have 0 prices"),
        (PLAN, "{up_to: '10', price: '0.10'}", "{price: '0.10'}", f"{PLAN}:7", "only the last is open"),
        (PLAN, "up_to: '10'", "up_to: '0'", f"{PLAN}:7", "a quantity of 0 would have 2 prices"),
        (
            PLAN,
            "          - {price: '0.05'}",
            "          - {up_to: '10', price: '0.07'}\n          - {price: '0.05'}",
            f"{PLAN}:7",
            "a quantity of 10 would have 2 prices",
        ),
        (PLAN, "key: fee", "key: requests", f"{PLAN}:14", "written twice"),
        (PLAN, "name: Basic", "name: Basic\nnmae: x", f"{PLAN}:3", "Extra inputs"),
        (PLAN, "name: Basic", "name: no\nname: Basic", f"{PLAN}:3", "written twice"),
        (PLAN, "name: Basic", 'name: "B\\0"', f"{PLAN}:2", "control characters"),
        ("instance.yaml", "address: A}", "address: A, zone: Mars/X}", "instance.yaml:2", "unknown IANA time zone"),
        (
            "instance.yaml",
            "address: A}\n",
            "address: A}\n  - {key: other, name: O, address: A}\n",
            "instance.yaml:3",
            "series 'INV' is that of another entity too",
        ),
        (
            "instance.yaml",
            "address: A}\n",
            "address: A}\n  - {key: seller, name: O, address: A, series: OTH}\n",
            "instance.yaml:3",
            "key 'seller' is that of another entity too",
        ),
        ("customers.csv", "Europe/Berlin", "Europe/berlin", "customers.csv:2", "unknown IANA time zone"),
        ("customers.csv", "seller", "nobody", "customers.csv:2", "unknown entity 'nobody'"),
        ("customers.csv", "acme,Acme", "../acme,Acme", "customers.csv:2", "customer"),
        ("customers.csv", "acme,Acme", "acme,Ac\x00me", "customers.csv", "control characters"),
        ("customers.csv", "DE,Europe/Berlin,seller", "DE,Europe/Berlin", "customers.csv:2", "5 cells in a table of 6"),
        ("customers.csv", "customer,name", "customer,nane", "customers.csv:1", "unknown or repeated columns: nane"),
        ("customers.csv", "acme,Acme", '"acme,Acme', "customers.csv:2", "bad_csv"),
        ("credentials.csv", "k1,acme", "k1,ghost", "credentials.csv:2", "unknown customer 'ghost'"),
        ("credentials.csv", "k1,acme,,,", "k1,acme,nowhere,,", "credentials.csv:2", "unknown source 'nowhere'"),
        ("credentials.csv", "k1,acme,,,", "k1,acme,,2026-01-01T00:00:00,", "credentials.csv:2", "with an offset"),
        (
            "credentials.csv",
            "k1,acme,,,\n",
            "k1,acme,,,2026-02-01T00:00:00Z\nk1,acme,gw,2026-01-31T23:59:59Z,\n",
            "credentials.csv:3",
            "overlaps with credentials.csv:2",
        ),
        ("subscriptions.csv", "s1,acme,basic", "s1,ghost,basic", "subscriptions.csv:2", "unknown customer 'ghost'"),
        ("subscriptions.csv", "s1,acme,basic", "s1,acme,gold", "subscriptions.csv:2", "unknown plan 'gold'"),
        ("subscriptions.csv", "2026-01-01,,", "2025-12-31,,", "subscriptions.csv:2", "(missing price)"),
        ("subscriptions.csv", "2026-01-01,,", "2026-01-01,2026-01-01,", "subscriptions.csv:2", "ends before it starts"),
        (
            "subscriptions.csv",
            "basic,2026-01-01,,\n",
            "basic,2026-01-01,2026-02-01,\ns2,acme,basic,2026-01-31,,\n",
            "subscriptions.csv:3",
            "both price requests on the same days",
        ),
        (
            "subscriptions.csv",
            "basic,2026-01-01,,\n",
            "basic,2026-01-01,2026-02-01,\ns1,acme,basic,2026-01-31,,\n",
            "subscriptions.csv:3",
            "overlaps with its phase at subscriptions.csv:2",
        ),
        (
            PLAN,
            "model: flat\n        amount: '5.00'",
            "model: dynamic\n        meter: requests",
            f"{PLAN}:14",
            "charge 'fee': model 'dynamic' prices money, but 'requests' is a 'count'",
        ),
        (
            PLAN,
            "model: flat\n        amount: '5.00'",
            "model: matrix\n        meter: requests\n        cells: [{match: {method: GET}, price: '1'}]",
            f"{PLAN}:14",
            "charge 'fee': a cell looks at 'method', no dimension of meter 'requests'",
        ),
        (PLAN, "name: Fee", "name: Fee\n        line_per: method", f"{PLAN}:14", "'line_per' belongs on a charge with"),
        (PLAN, "name: Requests", "name: R\n        line_per: method", f"{PLAN}:7", "is no dimension of meter"),
        ("meters.yaml", "value: size", "value: size, currency: size", "meters.yaml:3", "belongs to amounts of money"),
        ("meters.yaml", "key: peak", "key: 'peak; drop'", "meters.yaml:3", "pattern"),
        ("meters.yaml", "value: size", "value: sise", "meters.yaml:3", "reads 'sise'"),
        (
            "meters.yaml",
            "aggregation: count",
            "aggregation: count, filter: {field: status, op: lt, value: many}",
            "meters.yaml:2",
            "'lt' compares numbers",
        ),
        (
            "meters.yaml",
            "aggregation: count",
            "aggregation: count, filter: {field: status, op: eq, value: 12345678901234567}",
            "meters.yaml:2",
            "number",
        ),
        ("meters.yaml", "aggregation: max, value: size", "aggregation: max", "meters.yaml:3", "needs the field"),
        ("sources.yaml", "format: common", "format: common, quantity: amount", "sources.yaml:2", "is not one of this"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_file_and_line(name: str, old: str, new: str, where: str, message: str) -> None:
    found = swap(name, old, new)
    assert any(p.startswith(f"{where}") and message in p for p in found), found


def test_all_mistakes_of_all_files_come_in_one_go() -> None:
    found = problems(
        plans__basic=GOOD[PLAN].replace("currency: USD", "currency: usd").replace("'5.00'", "5.00"),
        customers=GOOD["customers.csv"].replace("Europe/Berlin", "Nowhere"),
        credentials=GOOD["credentials.csv"].replace("acme", "ghost"),
        subscriptions=GOOD["subscriptions.csv"] + "s2,ghost,gold,2026-13-01,,\n",
    )
    places = [p.split(": ")[0] for p in found]
    assert {f"{PLAN}:3", f"{PLAN}:17", "customers.csv:2", "credentials.csv:2", "subscriptions.csv:3"} <= set(places)
    assert len(found) == len(set(found))


def test_overlaps_that_stack_or_price_nothing_in_common_are_allowed() -> None:
    rows = GOOD["subscriptions.csv"]
    assert problems(subscriptions=rows + "s2,acme,basic,2026-02-01,,true\n") == []
    assert problems(subscriptions=rows.replace("01,,", "01,2026-02-01,") + "s2,acme,basic,2026-02-01,,\n") == []
    other = GOOD["customers.csv"] + "beta,Beta,A,DE,UTC,seller\n"
    assert problems(customers=other, subscriptions=rows + "s2,beta,basic,2026-01-01,,\n") == []


def test_a_key_moves_from_one_customer_to_another_at_an_instant() -> None:
    customers = GOOD["customers.csv"] + "beta,Beta,A,DE,UTC,seller\n"
    moved = "k1,acme,,,2026-02-01T00:00:00Z\nk1,beta,,2026-02-01T00:00:00Z,\n"
    assert problems(customers=customers, credentials=GOOD["credentials.csv"].split("\n")[0] + "\n" + moved) == []


def test_missing_and_unreadable_files_are_all_named(tmp_path: Path) -> None:
    for name, text in GOOD.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (tmp_path / "meters.yaml").unlink()
    (tmp_path / "customers.csv").write_bytes(b"customer\xff\n")
    (tmp_path / "credentials.csv").unlink()
    (tmp_path / "credentials.csv").mkdir()
    with pytest.raises(CatalogInvalid) as caught:
        load_catalog(tmp_path)
    assert [(p.code, Path(p.where).name) for p in caught.value.problems] == [
        ("missing_file", "meters.yaml"),
        ("unreadable", "customers.csv"),
        ("unreadable", "credentials.csv"),
    ]
    assert "nothing was read, priced or published" in caught.value.render()


@pytest.mark.parametrize("name", ["instance.yaml", "sources.yaml", "meters.yaml", PLAN])
@pytest.mark.parametrize("text", ["", "[]", "12", "key: [", "- a\n- b\n", "null"])
def test_a_file_of_another_shape_is_a_problem_and_not_a_traceback(name: str, text: str) -> None:
    found = problems(**{name.rsplit(".", 1)[0].replace("/", "__"): text})
    assert any(p.startswith(name) for p in found), found


@pytest.mark.parametrize("text", ["", "\n", "customer\n", '"', "a,a\n1,2\n"])
def test_an_odd_table_is_a_problem_or_empty_and_not_a_traceback(text: str) -> None:
    for name in ("customers", "credentials", "subscriptions"):
        problems(**{name: text})
    assert any("unknown customer 'acme'" in p for p in problems(customers=text))


def test_what_names_a_broken_plan_or_source_is_not_reported_as_well(tmp_path: Path) -> None:
    folder = tmp_path / "catalog"
    shutil.copytree(REPOSITORY / "data" / "catalog", folder)
    for name, old, new in (
        ("plans/starter.yaml", '"19.00"', "19.00"),
        ("sources.yaml", "zone: UTC", "zone: Nowhere"),
        ("meters.yaml", "aggregation: max", "aggregation: most"),
    ):
        path = folder / name
        path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(CatalogInvalid) as refusal:
        load_catalog(folder)
    places = {p.where.rsplit("/", 1)[-1].split(":")[0] for p in refusal.value.problems}
    assert places == {"meters.yaml", "starter.yaml", "sources.yaml"}
    assert {p.code for p in refusal.value.problems} == {"invalid"}


def test_each_row_of_a_customer_who_moves_has_a_day_of_its_own_but_the_first() -> None:
    head = "customer,name,address,country,zone,entity,valid_from\n"

    def wrong(*days: str) -> list[str]:
        return problems(customers=head + "".join(f"acme,Acme,A,DE,UTC,seller,{day}\n" for day in days))

    assert wrong("", "2026-02-01", "2026-03-01") == []
    assert "customers.csv:4" in (found := wrong("", "2026-02-01", "2026-02-01"))[0]
    assert "also defined at customers.csv:3" in found[0]
    assert "no row without 'valid_from'" in wrong("2026-02-01")[0]
