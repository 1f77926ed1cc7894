"""Each reason of a complaint is raised by the code and explained in the documents."""

import re

from house_tree import TOP

from hashscan.jobs.complaint_reasons import Reason


def test_each_reason_is_raised_by_some_code():
    """A reason that nothing raises would have alert rules that never fire."""
    named = set()
    for path in (TOP / "hashscan").rglob("*.py"):
        named |= set(re.findall(r"\bReason\.([A-Z_]+)", path.read_text(encoding="utf-8")))
    assert named == set(Reason.__members__)


def test_each_reason_is_explained_in_the_order_of_the_code():
    text = (TOP / "docs" / "metrics.md").read_text(encoding="utf-8")
    table = text.partition("| reason | meaning |\n|---|---|\n")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE) == [str(one) for one in Reason]
