"""The blocking check before pricing: every line and every event is accounted for, across the layers of the build."""

import dagster as dg

from orchestration.assets import metadata, progress
from orchestration.assets.build import QUANTITIES
from orchestration.assets.models import usage_models
from orchestration.catalog import load_catalog
from orchestration.ledger.store import Ledger
from orchestration.pipeline.accounting import RULES, unbalanced
from orchestration.pipeline.prepare import open_build
from orchestration.resources.instance import TallystickInstance


@dg.asset_check(
    asset=QUANTITIES,
    name="everything_is_accounted_for",
    additional_deps=sorted(usage_models.keys - {QUANTITIES}),
    blocking=True,
    description="Lines of the ledger, rows of the lake, staged events and hours of usage balance; if not, no prices.",
)
def everything_is_accounted_for(
    context: dg.AssetCheckExecutionContext, tallystick: TallystickInstance
) -> dg.AssetCheckResult:
    """Compare the layers of the open build; where usage is as it was published, that has been done before."""
    working = tallystick.context(context)
    catalog = load_catalog(working.instance.catalog)
    with Ledger.open(working.instance.home) as ledger:
        working, build = progress.open_build_of(working, catalog, ledger)
    if build is None or not build.usage_changed:
        return dg.AssetCheckResult(passed=True, metadata=metadata.UNCHANGED)
    with open_build(working.instance) as con:
        problems = unbalanced(con)
    if problems:
        rows = [(p.code, p.where, p.message) for p in problems]
        return dg.AssetCheckResult(
            passed=False, metadata={"problems": metadata.table(["rule", "where", "problem"], rows)}
        )
    with progress.step(working.instance, build, "accounting"):
        rules = [(name, rule) for name, (rule, _) in RULES.items()]
    return dg.AssetCheckResult(passed=True, metadata={"rules": metadata.table(["rule", "what holds"], rules)})
