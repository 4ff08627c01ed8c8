"""What Python reaches of a browser tab: its global object, conversions, and waiting for promises.

`anneal.runtime.browser` fills it; whoever is handed one needs nothing of the tab otherwise, and can be tested anywhere.

>>> bridge = Bridge(None, list, list, list, lambda: True, null=0, failure=OSError)
>>> bridge.value(0), bridge.value(5)
(None, 5)
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from anneal.errors import DeviceError

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Bridge:
    """What Python reaches of the tab."""

    scope: Any
    """The global object of the page or worker."""
    to_js: Callable[..., Any]
    create_proxy: Callable[[Any], Any]
    run_sync: Callable[[Any], Any]
    can_run_sync: Callable[[], bool]
    null: Any
    """JavaScript's null."""
    failure: type[Exception]
    """What a rejected promise raises in Python."""

    def convert(self, value: Any) -> Any:
        """Dictionaries and lists as JavaScript's objects and arrays."""
        return self.to_js(value, dict_converter=self.scope.Object.fromEntries)

    def value(self, found: Any) -> Any:
        """A value of JavaScript with None for null and undefined."""
        return None if found is self.null else found

    def finish(self, work: Coroutine[Any, Any, Result]) -> Result:
        """What a coroutine returns; raises DeviceError, before any of it, where the tab cannot wait."""
        if not self.can_run_sync():
            work.close()
            raise DeviceError(
                "here this browser cannot wait for its GPU: use the asynchronous form, `await tensor.tolist_async()` or `await tensor.item_async()`, "
                "or a browser that switches WebAssembly stacks, such as Chrome or Edge from version 137"
            )
        result: Result = self.run_sync(work)
        return result
