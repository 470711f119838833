"""The format inspectors of oslo.utils, without the imports of their packages.

Importing ``oslo_utils.imageutils.format_inspector`` the plain way executes ``oslo_utils.imageutils``
(the parser of qemu-img's output, message catalogues, locale, unicodedata) and ``_luks`` (the package
cryptography, which oslo.utils 10.2 imports here unconditionally and yet declares as an extra): 80 to 100 ms
before the first byte, and an ImportError where cryptography is not installed. The inspectors use none of them
without a passphrase. So small modules replace them while the one file is imported.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

PACKAGE = "oslo_utils.imageutils"
MODULE = PACKAGE + ".format_inspector"


def load_inspectors() -> Any:
    """Return the module ``oslo_utils.imageutils.format_inspector``. Raises ImportError.

    `sys.modules` is restored, so that a later import of the package gets the real package.
    """
    loaded = _Loaded.module
    if loaded is None:
        loaded = sys.modules.get(MODULE) or _import_alone() or _import_plainly()
        _Loaded.module = loaded
    return loaded


class _Loaded:
    module: ModuleType | None = None


def _import_plainly() -> ModuleType:
    __import__(MODULE)
    return sys.modules[MODULE]


def _import_alone() -> ModuleType | None:
    """Import the module among stand-ins; None if a release of oslo.utils needs more than they provide."""
    import oslo_utils

    stand_ins = _stand_ins(oslo_utils.__path__)
    originals = {name: sys.modules.get(name) for name in [*stand_ins, MODULE]}
    attributes = dict(vars(oslo_utils))
    sys.modules.update(stand_ins)
    try:
        __import__(MODULE)
        module: Any = sys.modules[MODULE]
        module.LOG = type(module.LOG)(MODULE)  # its warnings repeat the plugin's answer
        module.LOG.disabled = True
        return module  # type: ignore[no-any-return]  # Any is what an attribute can be set on
    except (ImportError, AttributeError):
        return None
    finally:
        for name, module in originals.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module
        for name in set(vars(oslo_utils)) - set(attributes):
            if f"oslo_utils.{name}" in originals:
                delattr(oslo_utils, name)


def _stand_ins(path: Any) -> dict[str, ModuleType]:
    kind = type(sys)
    catalogue: Any = kind("oslo_utils._i18n")
    catalogue._ = str  # messages are not translated
    luks: Any = kind(PACKAGE + "._luks")
    luks.LUKSHeader = dict
    luks.LUKS_SECTOR_SIZE = 512
    luks.NUM_KEY_SLOTS = 8
    package: Any = kind(PACKAGE)
    package.__path__ = [f"{folder}/imageutils" for folder in path]
    package._luks = luks
    return {catalogue.__name__: catalogue, luks.__name__: luks, package.__name__: package}
