"""``Literal`` for the annotations of a constructor: `typing` takes as long to import as Python to start (11 ms)."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

    __all__ = ["Literal"]
else:

    class Literal:
        """The origin and the values of a ``typing.Literal``, which are all that the contract reads of it."""

        __origin__ = "typing.Literal"

        def __init__(self, values: "tuple[Any, ...]") -> None:
            self.__args__ = values

        def __class_getitem__(cls, values: "Any") -> "Literal":
            return cls(values if isinstance(values, tuple) else (values,))
