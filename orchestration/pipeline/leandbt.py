"""What dbt does beside the work for each model and test, left out: a sixth of a small build or more.

None of this is public API (dbt's version is pinned), and none of it changes what comes out: a test compares builds with
those of a dbt that runs as it comes, in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any

HEARD = ("NodeStart", "NodeFinished")
"""Events below INFO that callbacks are still told."""
_done: list[bool] = []


def make_lean() -> None:
    """Take the overhead out of the dbt of this process, once."""
    if not _done:
        _done.append(True)
        _make_no_unheard_events()
        _keep_type_testers()
        _keep_templates()
        _make_contexts_at_once()
        _keep_variables()
        _look_for_plugins_once()


def _make_no_unheard_events() -> None:
    """Twenty events a node tell of statements and connections; without a log, hardly any is heard.

    dbt itself always listens, to report to its makers that a project relies on what is to change.
    """
    from dbt.events.logging import track_behavior_change_warn
    from dbt_common.events.base_types import BaseEvent, EventLevel
    from dbt_common.events.event_manager import EventManager

    make, fire = BaseEvent.__init__, EventManager.fire_event

    def take(event: BaseEvent, *args: Any, **fields: Any) -> None:
        event.__dict__["_given"] = (args, fields)

    def message(event: BaseEvent) -> Any:
        args, fields = event.__dict__["_given"]
        make(event, *args, **fields)
        return event.__dict__["pb_msg"]

    def fire_heard(manager: Any, e: BaseEvent, level: EventLevel | None = None, **options: Any) -> None:
        severity = level or e.level_tag()
        listens = any(callback is not track_behavior_change_warn for callback in manager.callbacks)
        told = listens and (severity is not EventLevel.DEBUG or type(e).__name__ in HEARD)
        # A warning can be made an error, whoever hears it.
        if manager.loggers or told or severity in (EventLevel.WARN, EventLevel.ERROR):
            fire(manager, e, level=level, **options)

    made_when_read = cached_property(message)
    made_when_read.__set_name__(BaseEvent, "pb_msg")
    _replace(BaseEvent, pb_msg=made_when_read, __init__=take)
    _replace(EventManager, fire_event=fire_heard)


def _keep_type_testers() -> None:
    """How the types of a result's columns are found out depends on which of them are text, and on nothing else."""
    from dbt_common.clients import agate_helper

    kept = lru_cache(maxsize=512)(agate_helper.build_type_tester)

    def build_type_tester(text_columns: Any, string_null_values: Any = ("null", "")) -> Any:
        return kept(tuple(sorted(text_columns)), tuple(string_null_values or ()))

    _replace(agate_helper, build_type_tester=build_type_tester)


def _keep_templates() -> None:
    """The code of a template depends on its text and on the kind of environment."""
    from dbt_common.clients.jinja import MacroFuzzEnvironment, NativeSandboxEnvironment

    for kind in (MacroFuzzEnvironment, NativeSandboxEnvironment):
        _replace(kind, compile=_compile_once(kind.compile))


def _compile_once(compile_text: Callable[..., Any]) -> Callable[..., Any]:
    codes: dict[str, Any] = {}

    def compile_or_take(environment: Any, source: Any, *args: Any, **options: Any) -> Any:
        if args or options or not isinstance(source, str):
            return compile_text(environment, source, *args, **options)
        if source not in codes:
            codes[source] = compile_text(environment, source)
        return codes[source]

    return compile_or_take


def _make_contexts_at_once() -> None:
    """Each node gets six hundred macros bound to it, twice; dbt binds and looks up each of them through many calls."""
    from dbt.clients.jinja import MacroGenerator
    from dbt.context.macros import MacroNamespace, MacroNamespaceBuilder
    from dbt.context.manifest import ManifestContext

    def bind(builder: Any, macros: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:
        bound, node, stack = {}, builder.node, builder.thread_ctx
        for name, macro in macros.items():
            made = bound[name] = object.__new__(MacroGenerator)
            made.context, made.macro, made.node, made.stack = context, macro, node, stack
        return bound

    def build_namespace(builder: Any, macros_by_package: dict[str, Any], ctx: dict[str, Any]) -> Any:
        bound = {package: bind(builder, macros, ctx) for package, macros in macros_by_package.items()}
        ranked = [bound.pop(package, {}) for package in builder.internal_package_names_order]
        return MacroNamespace(
            global_namespace=bound.get(builder.root_package, {}),
            local_namespace=bound.get(builder.search_package, {}),
            global_project_namespace={name: macro for macros in reversed(ranked) for name, macro in macros.items()},
            packages=bound,
        )

    def flat(context: Any) -> dict[str, Any]:
        if not isinstance(context.namespace, MacroNamespace):
            return given(context)  # type: ignore[no-any-return]
        made: dict[str, Any] = super(ManifestContext, context).to_dict()
        for part in reversed(list(context.namespace._search_order())):
            made.update(part)
        return made

    given = ManifestContext.to_dict
    _replace(MacroNamespaceBuilder, build_namespace=build_namespace)
    _replace(ManifestContext, to_dict=flat)


def _keep_variables() -> None:
    """What variables a node sees depends on its package and on what the run was given."""
    from dbt.context.providers import ModelConfiguredVar

    merge = ModelConfiguredVar._generate_merged

    def merge_once(variables: Any) -> Any:
        kept = variables._config.__dict__.setdefault("_kept_variables", {})
        package = variables._node.package_name
        if package not in kept:
            kept[package] = merge(variables)
        return kept[package]

    _replace(ModelConfiguredVar, _generate_merged=merge_once)


def _look_for_plugins_once() -> None:
    """dbt looks through every folder of the path for plugins, at each invocation."""
    from dbt.plugins.manager import PluginManager

    look = PluginManager.get_prefixed_modules
    _replace(PluginManager, get_prefixed_modules=staticmethod(lru_cache(maxsize=1)(look)))


def _replace(owner: Any, **attributes: Any) -> None:
    for name, value in attributes.items():
        setattr(owner, name, value)
