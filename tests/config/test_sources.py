"""Where digests and filters come from: what a service needs."""

from validator_checks import findings


def test_a_remote_service_needs_its_url_and_user():
    found = findings(state="/state", service={"kind": "hashcheckservice"})
    for name in ("url", "username"):
        assert found[f"c.yaml: service.{name}"][0] == "is missing; kind hashcheckservice needs it"
    assert "c.yaml: service.known" not in found
    found = findings(state="/state", service={"kind": "local"})
    assert list(found) == ["c.yaml: service.known"]
