"""Faults of a configuration in words."""

from validator_checks import findings

from hashscan.config.messages import MOST, field_at, section_at
from hashscan.config.settings import Settings


def test_each_kind_of_fault_has_its_words():
    found = findings(
        state="/state",
        quarantine={"action": "move"},
        scan={"tiers": "maybe", "jobz": 1},
        volumes={"path": "/v"},
        service="kind:local",
        filter={"source": "https://filters.example/"},
    )
    quarantine = found["c.yaml: quarantine.action"]
    assert quarantine == ("must be 'report' or 'quarantine'", "choose one of them")
    assert found["c.yaml: scan.tiers"] == (
        "must be true or false, but it is text", "write true or false, without quotes",
    )  # fmt: skip
    assert found["c.yaml: scan.jobz"] == ("unknown key", "did you mean `jobs`?")
    assert found["c.yaml: volumes"][0] == "must be a list, but it is a section"
    assert found["c.yaml: service"] == (
        "must be a section, but it is text", "write a blank after the colon, as in `kind: value`",
    )  # fmt: skip
    assert found["c.yaml: filter.root"][0], "a repository needs a pinned key"


def test_a_hundred_faults_are_named_and_the_others_counted():
    assert MOST == 100
    for count, more in ((100, None), (101, "and 1 more")):
        found = findings(state="/state", **{f"k{number}": 1 for number in range(count)})
        assert len(found) == 100 + (more is not None)
        assert found.get("c.yaml", (None, None))[0] == more


def test_sections_and_fields_by_their_place():
    assert section_at(()) is Settings
    assert section_at(("volumes", 3)).__name__ == "VolumeSettings"
    assert section_at(("state",)) is None
    assert section_at(("none", "such")) is None
    assert field_at(("scan", "jobs")) is not None
    assert field_at(("scan", "none")) is None
    assert field_at(("none", "such")) is None
    assert field_at(()) is None
