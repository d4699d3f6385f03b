"""Routes: how templates are written and read, which of several a request stands under, and what fits none."""

from __future__ import annotations

import json
import re
from itertools import zip_longest
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.audit.endpoints import as_expression
from orchestration.catalog import Catalog, load_catalog
from orchestration.catalog.load import from_archive, parse_catalog
from orchestration.catalog.meters import Meter
from orchestration.catalog.openapi import MAX_DEPTH, read_openapi
from orchestration.catalog.routes import moves_endpoints
from orchestration.catalog.templates import OTHER, UNMATCHED, Routes, ordered, parse_route
from orchestration.errors import CatalogInvalid
from orchestration.metering.routes import compile_routes
from orchestration.settings import REPOSITORY
from orchestration.sqltext import literal

Request = tuple[str, str | None, str | None]
"""Source, method, path."""

OPENAPI = """openapi: 3.0.3
info: {title: A, version: "1"}
servers:
  - url: https://{host}.example/{version}/
    variables: {host: {default: api}, version: {default: v1}}
  - url: /beta
paths:
  /users/{id}:
    parameters: [{name: id, in: path}]
    get: {responses: {"200": {description: ok}}}
    delete:
      servers: [{url: /admin}]
  /files/{name}.json: {$ref: "files.yaml"}
  x-internal: {get: {}}
components: {schemas: {paths: {get: {}}}}
"""


def routes_of(*texts: str, **by_source: tuple[str, ...]) -> Routes:
    """Templates for all sources, and for single ones."""
    routes: dict[str | None, tuple[str, ...]] = {None: texts} if texts else {}
    return {name: ordered(map(parse_route, listed)) for name, listed in (routes | dict(by_source)).items()}


_ENGINE = duckdb.connect()
_ENGINE.execute("CREATE SCHEMA control")


def endpoints(routes: Routes, requests: list[Request]) -> list[str | None]:
    """The endpoint of each request, as a build finds it."""
    compiled = compile_routes(routes)
    rows = [f"({literal(row['route_key'])}, {literal(row['endpoint'])})" for row in compiled.rows]
    known = f"FROM (VALUES {', '.join(rows)})" if rows else "FROM (SELECT '' AS col0, '' AS col1) WHERE false"
    _ENGINE.execute(f"CREATE OR REPLACE TABLE control.routes AS SELECT col0 AS route_key, col1 AS endpoint {known}")
    endpoint, joins = compiled.endpoint("e")
    query = f"SELECT place, {endpoint} FROM ({compiled.keyed(_table(requests))}) AS e{joins} ORDER BY 1"
    found = _ENGINE.execute(query).fetchall()
    assert [place for place, _ in found] == list(range(len(requests)))
    return [endpoint for _, endpoint in found]


def _table(requests: list[Request]) -> str:
    def sql(text: str | None) -> str:
        return "NULL" if text is None else literal(text)

    values = ", ".join(f"({n}, {', '.join(map(sql, request))})" for n, request in enumerate(requests))
    typed = "col0 AS place, col1::VARCHAR AS feed, col2::VARCHAR AS method, col3::VARCHAR AS path"
    return f"(SELECT {typed} FROM (VALUES {values}))"


def shapes(*paths: str) -> list[str]:
    keyed = compile_routes({}).keyed(_table([("gw", "GET", path) for path in paths]))
    return [shape for (shape,) in _ENGINE.execute(f"SELECT shape FROM ({keyed}) ORDER BY place").fetchall()]


def catalog(routes: str, **files: str) -> Catalog:
    """The example's catalog with other routes; `openapi_json` stands for openapi.json."""
    texts = dict(load_catalog(REPOSITORY / "data" / "catalog").files) | {"routes.yaml": routes}
    return parse_catalog(texts | {name.replace("_", "."): text for name, text in files.items()})


def problems(routes: str, **files: str) -> list[str]:
    with pytest.raises(CatalogInvalid) as refused:
        catalog(routes, **files)
    assert refused.value.exit_code == 2
    return [str(problem) for problem in refused.value.problems]


# fmt: off
NARROWEST = [
    ("GET", "/v1/users", "/v1/users"),
    ("GET", "/v1/users/7", "/v1/users/{id}"),
    ("GET", "/v1/users/me", "/v1/users/me"),
    # The narrower template serves one method: others fall to the wider one.
    ("GET", "/v1/users/keys", "/v1/users/{id}"),
    ("POST", "/v1/users/keys", "/v1/users/keys"),
    # Under `me` nothing serves the method; under `{id}` something does.
    ("PUT", "/v1/users/me/roles", "/v1/users/{id}/roles"),
    ("GET", "/v1/users/me/keys", "/v1/users/me/{what}"),
    (None, "/v1/users/7", "/v1/users/{id}"),
    (None, "/v1/users", UNMATCHED),
    ("get", "/v1/users", UNMATCHED),
    ("HEAD", "/v1/users", UNMATCHED),
    # Bytes as they stand: another slash, letter case or encoding is another path.
    ("GET", "/v1/users/", UNMATCHED),
    ("GET", "/v1//users", UNMATCHED),
    ("GET", "/V1/users", UNMATCHED),
    ("GET", "/v1/%75sers", UNMATCHED),
    ("GET", "/v1/users/a%2Fb", "/v1/users/{id}"),
    ("GET", "/v1/users/a b", "/v1/users/{id}"),
    ("GET", "/v1/users//roles", UNMATCHED),
    ("GET", "/v1/reports/2026-10.csv", "/v1/reports/{month}.csv"),
    ("GET", "/v1/reports/2026-10.json", "/v1/reports/{month}"),
    ("GET", "/v1/reports/.csv", "/v1/reports/{month}"),
    ("GET", "/v1/reports/a.b.csv", "/v1/reports/{month}.csv"),
    ("GET", "/v1/reports/acsv", "/v1/reports/{month}"),
    ("GET", "/static/a", "/static/{file+}"),
    ("GET", "/static/a/b//c/", "/static/{file+}"),
    ("GET", "/static/a/map", "/static/{dir}/map"),
    ("GET", "/static//", "/static/{file+}"),
    ("GET", "/static/", UNMATCHED),
    ("GET", "/static", UNMATCHED),
    ("GET", "/", "/"),
    ("GET", "//", UNMATCHED),
    ("GET", "", UNMATCHED),
    ("OPTIONS", "*", UNMATCHED),
    ("CONNECT", "v1/users", UNMATCHED),
    ("GET", "/o'neill;--", "/o'neill;--"),
    ("GET", None, None),
]
# fmt: on


def test_a_request_stands_under_the_narrowest_route_that_fits_it() -> None:
    routes = routes_of(
        *("GET /v1/users", "/v1/users/{id}", "GET /v1/users/me", "POST /v1/users/keys", "/v1/users/{id}/roles"),
        *("GET /v1/users/me/{what}", "/v1/reports/{month}", "/v1/reports/{month}.csv", "/static/{file+}"),
        *("/static/{dir}/map", "/", "/o'neill;--"),
    )
    found = endpoints(routes, [("gw", method, path) for method, path, _ in NARROWEST])
    assert [(m, p, e) for (m, p, _), e in zip(NARROWEST, found, strict=True)] == NARROWEST


def test_routes_of_one_source_move_no_request_of_another() -> None:
    requests: list[Request] = [(feed, "GET", "/a/1") for feed in ("x", "y", "z")]
    assert endpoints({}, [*requests, ("x", "GET", None)]) == [OTHER, OTHER, OTHER, None]
    assert endpoints(routes_of(x=("/a/{b}",)), requests) == ["/a/{b}", OTHER, OTHER]
    both = routes_of("/a/{b}", x=("/a/{b}", "/a/1"), y=("/c",))
    assert endpoints(both, requests) == ["/a/1", UNMATCHED, "/a/{b}"]


_WORDS = st.sampled_from(["a", "b", "ab", "a.x", "", "ü", "a'"])
_PARTS = st.sampled_from(["a", "b", "", "{p}", "{q}", "{p}.x", "a{p}", "{p}{q}", "ü"])
_METHODS = st.sampled_from(["GET", "PUT"])
_TEMPLATES = st.builds(
    lambda method, parts, rest: f"{method}/{'/'.join([*parts, *rest])}",
    st.sampled_from(["", "GET ", "PUT "]),
    st.lists(_PARTS, min_size=1, max_size=3),
    st.sampled_from([[], [], ["{r+}"]]),
)
_REQUESTS = st.tuples(st.just("gw"), st.one_of(st.none(), _METHODS), st.builds("/".join, st.lists(_WORDS, max_size=5)))


def narrowest(texts: list[str], request: Request) -> str:
    """By trying every template, and comparing those that fit part by part from the left."""
    _, method, path = request
    best: tuple[list[tuple[int, int, str]], bool, str] | None = None
    for text in texts:
        name, _, template = text.rpartition(" ")
        pattern = "".join(
            re.escape(p) if not p.startswith("{") else "[\\s\\S]+" if p.endswith("+}") else "[^/]+"
            for p in re.split(r"(\{[^}]*\})", template)
        )
        if name not in ("", method) or not re.fullmatch(pattern, path or ""):
            continue
        ranks = []
        for part in template[1:].split("/"):
            bare = re.sub(r"\{[^}]*\}", "{}", part)
            kind = 3 if part.endswith("+}") else 2 if bare == "{}" else 1 if "{" in part else 0
            ranks.append((kind, -len(bare) if kind == 1 else 0, bare if kind == 1 else ""))
        if best is None or (ranks, name == "") < best[:2]:
            best = ranks, name == "", template
    return best[2] if best else UNMATCHED


@settings(max_examples=60, deadline=None)
@given(st.lists(_TEMPLATES, min_size=1, max_size=8), st.lists(_REQUESTS, min_size=1, max_size=30))
def test_no_lookup_differs_from_trying_every_template(texts: list[str], requests: list[Request]) -> None:
    distinct = {(t.method, t.parts): text for text in texts for t in [parse_route(text)]}
    routes = routes_of(*distinct.values())
    expected = [narrowest(list(distinct.values()), request) for request in requests]
    assert endpoints(routes, requests) == expected
    # The auditor's way: the first expression that fits.
    tried = [(t.method, as_expression(t.path), t.path) for t in routes[None]]
    fits = [
        [p for m, line, p in tried if m in ("*", method) and line.fullmatch(path or "")] for _, method, path in requests
    ]
    assert [(paths or [UNMATCHED])[0] for paths in fits] == expected


@settings(max_examples=300, deadline=None)
@given(_TEMPLATES, _TEMPLATES, st.lists(_WORDS, min_size=1, max_size=4))
def test_templates_that_share_a_path_are_known_to_overlap(one: str, other: str, words: list[str]) -> None:
    a, b = parse_route(one), parse_route(other)
    path = "/" + "/".join(words)
    if as_expression(a.path).fullmatch(path) and as_expression(b.path).fullmatch(path):
        assert a.overlaps(b) and b.overlaps(a)
    if all(p.text and p.kind == 0 for p in (*a.parts, *b.parts)):
        assert a.overlaps(b) == all(x == y for x, y in zip_longest(a.parts, b.parts))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("v1/users", "doesn't begin with a slash"),
        ("get /v1", "'get' is no method"),
        ("/v1/users?x=1", "neither plain text nor"),
        ("/v1/**", "neither plain text nor"),
        ("/v1/{id", "neither plain text nor"),
        ("/v1/{}", "neither plain text nor"),
        ("/v1/{rest+}/x", "so it comes last"),
        ("/a" * 33, "more than 32 parts"),
    ],
)
def test_a_template_that_would_match_nothing_is_refused_with_its_line(text: str, said: str) -> None:
    [problem] = problems(f"routes:\n  - patterns:\n      - /ok\n      - {text!r}\n")
    assert problem.startswith("routes.yaml:4: ")
    assert said in problem


def test_an_openapi_document_gives_its_paths_with_methods_under_its_servers() -> None:
    expected = [
        ("GET /v1/users/{id}", 8), ("GET /beta/users/{id}", 8), ("DELETE /admin/users/{id}", 8),
        ("/v1/files/{name}.json", 13), ("/beta/files/{name}.json", 13),
    ]  # fmt: skip
    found, wrong = read_openapi(OPENAPI, "o.yaml")
    assert [(str(template), where) for template, where in found] == [(t, f"o.yaml:{n}") for t, n in expected]
    assert wrong == []
    document = {
        "openapi": "3.1.0",
        "servers": [{"url": "https://{host}.example/v1", "variables": {"host": {"default": "api"}}}, {"url": "/beta"}],
        "paths": {"/users/{id}": {"get": {}, "delete": {"servers": [{"url": "/admin"}]}}, "/files/{name}.json": {}},
    }
    text = json.dumps(document, indent=1)
    lines = {n for n, line in enumerate(text.splitlines(), 1) if line.startswith('  "/')}
    found, wrong = read_openapi(text, "o.json")
    assert {str(template) for template, _ in found} == {text for text, _ in expected}
    assert len(lines) == 2
    assert {where for _, where in found} == {f"o.json:{n}" for n in lines}
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no OpenAPI 3 document"),
        ("swagger: '2.0'\npaths: {/a: {}}\n", "no OpenAPI 3 document"),
        ("openapi: 3.0.0\n", "has no `paths`"),
        ("openapi: 3.0.0\npaths: [/a\n", "o.yaml:3"),
        ("openapi: 3.0.0\npaths: {/a?b: {get: {}}}\n", "o.yaml:2: '/a?b'"),
        ("openapi: 3.0.0\nservers: [{url: '/{v}'}]\npaths: {/a: {get: {}}}\n", "variable 'v' has no default"),
        ("openapi: 3.0.0\nx: &s [{url: /v1}]\nservers: *s\npaths: {/a: {}}\n", "line 3: servers are written out"),
        ("openapi: 3.0.0\nx: " + "[" * (MAX_DEPTH + 1), f"nested deeper than {MAX_DEPTH}"),
        ("openapi: 3.0.0\nx: " + "{a: " * 300_000, f"nested deeper than {MAX_DEPTH}"),
    ],
)  # fmt: skip
def test_a_document_that_is_none_is_a_problem_and_no_crash(text: str, said: str) -> None:
    found, [problem] = read_openapi(text, "o.yaml")
    assert said in str(problem)
    assert found == []


def test_aliases_that_multiply_cost_nothing() -> None:
    lines = ["openapi: 3.0.0", "a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 40)]
    lines += ["m0: &m0 {k: v}", *(f"m{n}: &m{n} {{<<: [*m{n - 1}, *m{n - 1}]}}" for n in range(1, 40))]
    found, wrong = read_openapi("\n".join([*lines, "paths: {/a: *m39, /b: {get: *a39}}"]), "o.yaml")
    assert [str(template) for template, _ in found] == ["/a", "GET /b"]
    assert wrong == []


def test_routes_that_fit_the_same_requests_are_refused_and_both_named() -> None:
    document = '{"openapi": "3.0.0",\n "paths": {"/v1/users/{id}": {"get": {}}}}'
    sets = (
        "routes:\n  - openapi: api.json\n  - sources: [gateway-eu]\n    patterns:\n      - GET /v1/users/{user}\n"
        "      - /v1/users/{any}\n      - PUT /v1/users/{id}\n      - GET /v1/users/me\n"
    )
    [problem] = problems(sets, api_json=document)
    said = "routes.yaml:5: 'GET /v1/users/{user}' fits the same requests as 'GET /v1/users/{id}' at api.json:2"
    assert problem.startswith(said)


def test_route_sets_that_reach_nothing_are_refused_with_their_lines() -> None:
    sets = "routes:\n  - sources: [gateway-eu, gone]\n    openapi: gone.yaml\n  - sources: [gateway-us]\n"
    found = problems(sets)
    assert [p.split(" ")[0] for p in found] == ["routes.yaml:2:", "routes.yaml:3:", "routes.yaml:4:"]
    assert "unknown source 'gone'" in found[0]
    assert "'gone.yaml' is not in the catalog's folder" in found[1]
    assert "has patterns, an openapi document, or both" in found[2]
    for name in ("../api.yaml", "/etc/api.yaml", "a/../../b.yaml", "notes.txt"):
        assert "openapi" in problems(f"routes:\n  - openapi: {name}\n")[0]


def test_a_meter_of_an_endpoint_that_does_not_exist_is_refused() -> None:
    taken = "filter: {field: endpoint, op: in, value: [%s]}"
    meter = "meters:\n  - {key: m, name: M, event_type: r, aggregation: count, " + taken + "}\n"
    texts = dict(load_catalog(REPOSITORY / "data" / "catalog").files)
    plans = {name: text for name, text in texts.items() if not name.startswith("plans/")}
    for values, wrong in (('"/v1/search", "(unmatched)"', []), ('"/v1/serch", "/v1/search"', ["'/v1/serch'"])):
        changed = plans | {"meters.yaml": meter % values, "subscriptions.csv": "subscription,customer,plan,start\n"}
        try:
            parse_catalog(changed)
            said = []
        except CatalogInvalid as error:
            said = [str(problem) for problem in error.problems]
        assert [w in s for w, s in zip_longest(wrong, said, fillvalue="")] == [True] * len(wrong)


def test_the_document_is_archived_with_the_catalog(tmp_path: Path) -> None:
    folder = tmp_path / "catalog"
    for name, text in load_catalog(REPOSITORY / "data" / "catalog").files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    one = load_catalog(folder)
    again = from_archive(one.archive())
    assert again.routes == one.routes
    assert again.digest == one.digest
    document = folder / "openapi.yaml"
    document.write_text(document.read_text().replace("/embeddings", "/vectors"))
    assert load_catalog(folder).digest != one.digest
    document.write_bytes(b" " * ((16 << 20) + 1))
    with pytest.raises(CatalogInvalid, match="larger than 16 MiB"):
        load_catalog(folder)


def test_paths_that_differ_in_identifiers_only_have_one_shape() -> None:
    expected = {
        "/orders/12/items/7": "/orders/{n}/items/{n}",
        "/u/9F1B5F0A-1B2C-4d3e-8f90-0123456789ab": "/u/{uuid}",
        "/blob/deadbeef01/facade": "/blob/{hex}/facade",
        "/mail/a.b@example.org/x": "/mail/{email}/x",
        "/mail/a%40example.org": "/mail/{email}",
        "/t/eyJhbGciOiJIUzI1NiJ9.x_y-z": "/t/{token}",
        "/v1/oauth2/order-123-2026": "/v1/oauth2/order-{n}-{n}",
        "/" + "x" * 41: "/{long}",
        "/a" * 20: "/a" * 12 + "/{more}",
        "/wp-login.php": "/wp-login.php",
        "": "",
    }
    assert dict(zip(expected, shapes(*expected), strict=True)) == expected


def test_any_path_has_a_short_shape() -> None:
    longest = max(map(len, shapes("/" + "a" * 1_000_000, "/a" * 100_000, "/" * 5000, "/" + "1x" * 20 + "/é" * 30)))
    assert longest <= 13 * 41


@pytest.mark.parametrize(
    ("named", "now", "moved"),
    [
        ("/a/{x}", ("/a/{x}", "/b"), False),
        ("/a/{x}", ("/a/{x}", "/b", "/c"), False),
        ("/a/{x}", ("/a/{x}", "/b", "/a/{x}/c"), False),
        # Narrower, wider, for one method, under another name, or for other sources.
        ("/a/{x}", ("/a/{x}", "/b", "/a/1"), True),
        ("/a/{x}", ("/a/{x}", "/b", "GET /a/{x}"), True),
        ("/a/{x}", ("/a/{y}", "/b"), True),
        ("/a/{x}", ("GET /a/{x}", "/b"), True),
        ("/a/{x}", ("/b",), True),
        ("/a/{x}", (), True),
        ("/b", ("/a/{x}", "/b", "/{all+}"), True),
        (UNMATCHED, ("/a/{x}", "/b", "/c"), True),
        (OTHER, (), True),
    ],
)  # fmt: skip
def test_only_routes_that_could_move_what_a_meter_counts_count_as_moved(
    named: str, now: tuple[str, ...], moved: bool
) -> None:
    meter = {"key": "m", "name": "M", "event_type": "r", "aggregation": "count"}
    reads = Meter.model_validate(meter | {"filter": {"not": {"field": "endpoint", "op": "eq", "value": named}}})
    was = routes_of("/a/{x}", "/b")
    assert moves_endpoints(reads, was, routes_of(*now)) is moved
    assert moves_endpoints(reads, was, routes_of("/a/{x}", "/b", gw=now)) is moved
    assert moves_endpoints(Meter.model_validate(meter), was, routes_of(*now)) is False
    counts = meter | {"aggregation": "unique_count", "value": "endpoint"}
    assert moves_endpoints(Meter.model_validate(counts), was, routes_of(*now)) is (routes_of(*now) != was)
