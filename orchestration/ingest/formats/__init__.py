"""The log formats, by name. A new one is a module that defines FORMAT, one line here, and its fixture."""

from __future__ import annotations

from orchestration.catalog.sources import Source
from orchestration.errors import Problem
from orchestration.ingest.formats import (
    alb,
    api_gateway,
    azure,
    caddy,
    cloudevents,
    cloudevents_batch,
    cloudevents_binary,
    cloudfront,
    combined,
    common,
    csv,
    elb,
    envoy,
    envoy_json,
    error_log,
    gcp,
    haproxy,
    haproxy_clf,
    json_lines,
    kong,
    nginx_ingress,
    nginx_json,
    nginx_proxy_manager,
    parquet,
    s3,
    squid,
    tomcat,
    traefik_clf,
    traefik_json,
    tsv,
    varnish,
    vhost,
    zoraxy,
)
from orchestration.ingest.formats.base import Format
from orchestration.ingest.formats.detect import Auto

_MODULES = (
    # Where two formats recognise as many lines of a file, the earlier is taken: the stricter stand first.
    *(tsv, csv, parquet),
    *(cloudevents, cloudevents_binary, cloudevents_batch),
    *(caddy, traefik_json, envoy_json, kong, api_gateway, azure, gcp, nginx_json, json_lines),
    *(alb, elb, s3, cloudfront, squid, zoraxy),
    *(haproxy, haproxy_clf, envoy, traefik_clf, nginx_ingress, nginx_proxy_manager),
    *(vhost, combined, common, tomcat, varnish),
    error_log,
)

FORMATS: dict[str, Format] = {module.FORMAT.name: module.FORMAT for module in _MODULES}
FORMATS["auto"] = Auto(FORMATS)


def check_source(source: Source) -> list[Problem]:
    """Everything in a source that its format can't do; empty when it can be read."""
    if source.format not in FORMATS:
        known = ", ".join(sorted(FORMATS))
        return [Problem("unknown_format", f"format '{source.format}' is not one of {known}", f"source '{source.name}'")]
    return FORMATS[source.format].check(source)
