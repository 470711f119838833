from typing import Any, Dict, FrozenSet, List, Literal, Mapping, Optional, Sequence, Set, Tuple, Union

from douane_plugin import Inspector


class Site:
    """A class of the author's own: its constructor is not called, anything is passed."""


class EveryType(Inspector):
    """A parameter of every type, and any other key."""

    reads = "nothing"

    def __init__(
        self,
        text: str,
        yes: bool,
        number: int,
        ratio: float,
        names: List[str],
        plain: list[int],
        pair: Tuple[int, ...],
        some: Set[str],
        fixed: FrozenSet[int],
        several: Sequence[float],
        table: Dict[str, int],
        mapping: Mapping[str, bool],
        maybe: Optional[int],
        either: Union[int, str],
        how: Literal["fast", "thorough"],
        anything: Any,
        site: Site,
        untyped,
        by_default=7,
        nothing=None,
        *,
        named: str = "name",
        **options: Any,
    ):
        given = dict(locals())
        del given["self"], given["options"]
        self.given = {**given, **options}

    def inspect(self, image):
        def told(value):
            if isinstance(value, (set, frozenset)):
                return f"{type(value).__name__}{sorted(value)}"
            return repr(value)

        return {key: told(value) for key, value in self.given.items()}
