"""What config check says of settings."""

from hashscan.config.explain import summary
from hashscan.config.loader import validate
from hashscan.config.parsing import Document


def test_the_summary_names_the_categories_of_a_repository(tmp_path):
    given = validate(
        Document(
            data={
                "state": str(tmp_path),
                "filter": {
                    "source": "https://filters.example/", "root": str(tmp_path / "root.json"),
                    "categories": ["baseline", "other"],
                },
            }
        ),
        check_files=False,
    )  # fmt: skip
    words = dict(summary(given))["filter"]
    assert words.startswith("baseline, other of https://filters.example/, not older than ")
