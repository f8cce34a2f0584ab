"""How an answer's members are found on moto's objects: as moto finds them, but worked out only once.

moto tries six names for each member of each object of an answer, and works them out anew each time: half of the time
that a Describe call takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.core.serialize import AttributePickerContext, XFormedAttributePicker
from moto.core.utils import MISSING, get_value

Transformer = Callable[[Any], Any]
Known = tuple[tuple[str, ...], Transformer | None]


class Picker(XFormedAttributePicker):  # type: ignore[misc]
    """Remembers the names of a member by the class that it is on and its place in the answer.

    :param known: what is remembered, by all pickers of the same transformers
    """

    def __init__(
        self, transformers: dict[str, Callable[[Any], Any]], known: dict[tuple[type, str, str], Known]
    ) -> None:
        super().__init__(response_transformers=transformers)
        self._known = known

    def __call__(self, context: AttributePickerContext) -> Any:
        at = (type(context.obj), context.key_path, context.key)
        known = self._known.get(at)
        if known is None:
            path = f"{context.key_path}.{context.key}"
            transform = next((change for end, change in self.response_transformers.items() if path.endswith(end)), None)
            known = self._known[at] = tuple(dict.fromkeys(self.get_possible_keys(context))), transform
        names, transform = known
        value = None
        for name in names:
            if (found := get_value(context.obj, name, MISSING)) is not MISSING:
                value = found
                break
        return transform(value) if transform else value
