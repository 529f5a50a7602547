"""docs/targets.md is generated from the help texts of the targets and fields."""

from field_reference import PAGE, is_own, render

from pants_dockless import register


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == render(), "run: python tests/testlib/field_reference.py --write"


def test_each_target_and_each_field_is_described():
    page = PAGE.read_text()
    for target in register.target_types():
        assert f"\n### {target.alias}\n" in page
        for field in target.core_fields:
            assert (f"`{field.alias}`" in page) != field.alias.startswith("_")
            if is_own(field):
                assert f"\n### {field.alias}\n" in page
