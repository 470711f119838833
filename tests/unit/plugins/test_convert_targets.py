"""The formats that `convert` makes: one table."""

from __future__ import annotations

import inspect

import pytest

from douane.plugins._image_format import QEMU_DRIVERS
from douane.plugins.convert import Convert
from douane.plugins.convert.targets import TARGETS, Target


def test_the_setting_lists_the_formats_of_the_table() -> None:
    annotations = inspect.get_annotations(Convert.__init__, eval_str=True)
    assert annotations["to"].__args__ == tuple(TARGETS)
    assert Convert.__doc__ is not None
    assert all(f'``"{name}"``' in Convert.__doc__ for name in TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_is_a_format_that_qemu_img_reads(name: str) -> None:
    target = Target(name, "none", None, "none")
    assert target.driver == QEMU_DRIVERS[name]
    assert target.words("image", "result")[-2:] == ["image", "result"]
