"""What dbt does beside the work for each model and test, left out: a sixth of a small build.

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


def _make_no_unheard_events() -> None:
    """Twenty events a node tell of statements and connections; without a log, hardly any is heard."""
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
        heard = manager.loggers or (manager.callbacks and type(e).__name__ in HEARD)
        if heard or (level or e.level_tag()) is not EventLevel.DEBUG:
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


def _replace(owner: Any, **attributes: Any) -> None:
    for name, value in attributes.items():
        setattr(owner, name, value)
