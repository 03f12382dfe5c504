"""The mapping that messages tell people to write."""

import yaml
from hypothesis import given
from hypothesis import strategies as st

from detente.tasks.unknown_tags import listed, mapping

tags = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=8)


@given(st.dictionaries(tags, tags, max_size=8))
def test_mapping_is_yaml_on_one_line(meant: dict[str, str]) -> None:
    text = mapping(meant)
    assert yaml.safe_load(text) == meant
    assert "\n" not in text


def test_long_mappings_are_cut() -> None:
    assert mapping({f"T{number}": "X" for number in range(9)}).endswith("T7: X, ...}")


def test_frequent_tags_come_first() -> None:
    assert listed({"B": 1, "A": 1200}) == "`A` (1,200x), `B` (1x)"
    assert listed({str(number): 1 for number in range(9)}).endswith("`7` (1x) and 1 more")
