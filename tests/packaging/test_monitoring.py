"""packaging/prometheus and packaging/grafana: rules and dashboard name metrics that exist."""

import json
import os
import re

import pytest
import yaml
from promtool import needs_promtool, promtool

from hashscan.jobs.complaint_reasons import Reason
from hashscan.metrics.names import METRICS, PREFIX

TOP = os.path.join(os.path.dirname(__file__), "..", "..")
RULES = os.path.join(TOP, "packaging", "prometheus", "hashscan.rules.yml")
DASHBOARD = os.path.join(TOP, "packaging", "grafana", "hashscan.json")


def text(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def rules():
    return yaml.safe_load(text(RULES))["groups"][0]["rules"]


def panels():
    found = []
    for one in json.loads(text(DASHBOARD))["panels"]:
        found += [one, *one.get("panels", ())]
    return found


def queries():
    return [target["expr"] for panel in panels() for target in panel.get("targets", ())]


def names(expression):
    return {one.removeprefix(PREFIX) for one in re.findall(rf"{PREFIX}\w+", expression)}


def labels(expression):
    return {
        (metric.removeprefix(PREFIX), label, value)
        for metric, inner in re.findall(rf"({PREFIX}\w+)\{{([^}}]*)\}}", expression)
        for label, value in re.findall(r'(\w+)=~?"([^"]*)"', inner)
    }


@pytest.mark.parametrize("source", ["rules", "dashboard"])
def test_each_metric_exists_with_its_labels(source):
    expressions = [one["expr"] for one in rules()] if source == "rules" else queries()
    assert expressions
    for one in expressions:
        assert names(one) <= METRICS.keys(), one
        assert names(one) or "up{" in one, one
        for metric, label, value in labels(one):
            if label in {"job", "instance"}:
                continue
            assert label in METRICS[metric].labels, one
            if label == "reason" and metric == "complaints":
                assert set(value.split("|")) <= set(Reason), one


def test_each_reason_has_an_alert():
    told = {
        reason
        for one in rules()
        for metric, label, value in labels(one["expr"])
        if (metric, label) == ("complaints", "reason")
        for reason in value.split("|")
    }
    direct = {
        Reason.PENDING, Reason.SERVICE_REFUSES, Reason.MATCHES_UNMOVED, Reason.MATCHES_HELD,
        Reason.NOTICES_DUE_SOON, Reason.NOTICES_OVERDUE,
    }  # fmt: skip
    # The catch-all, HashscanUnhealthy, is for what needs nobody at night.
    assert set(Reason) - told - direct == {Reason.MATCHES_REPORTED, Reason.OUTPUT}


def test_each_alert_says_what_to_do_and_where_to_read_on():
    docs = text(os.path.join(TOP, "docs", "metrics.md"))
    tested = text(RULES.replace(".rules.", ".rules.test."))
    for one in rules():
        found = one["annotations"]
        assert found.keys() == {"summary", "description", "runbook", "runbook_url"}
        assert f"### {one['alert']}\n\n{found['description']}" in docs
        assert f"What to do: {found['runbook']}" in docs
        assert found["runbook_url"] == f"docs/metrics.md#{one['alert'].lower()}"
        assert one["labels"]["severity"] in {"critical", "warning"}
        assert f'alertname="{one["alert"]}"' in tested, "no outage fires it"


@needs_promtool
def test_promtool_takes_the_rules():
    code, told = promtool("check", "rules", RULES)
    assert code == 0, told


@needs_promtool
@pytest.mark.parametrize("name", ["hashscan.rules.test.yml", "hashscan.week.test.yml"])
def test_each_outage_fires_and_a_healthy_week_does_not(name):
    code, told = promtool("test", "rules", os.path.join(os.path.dirname(RULES), name))
    assert code == 0, told


def test_the_dashboard_can_be_imported():
    found = json.loads(text(DASHBOARD))
    assert found["title"]
    assert found["uid"]
    assert found["id"] is None
    numbers = [one["id"] for one in panels()]
    assert len(numbers) == len(set(numbers))
    variables = {one["name"]: one for one in found["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    places = set()
    for one in panels():
        assert one["title"]
        place = one["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y)
                 for x in range(place["w"]) for y in range(place["h"])}  # fmt: skip
        assert not cells & places, one["title"]
        places |= cells
        if one["type"] != "row":
            assert one["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert one["description"]
            assert len({target["refId"] for target in one["targets"]}) == len(one["targets"])


@needs_promtool
def test_each_query_of_the_dashboard_is_a_query(tmp_path):
    plain = [one.replace("$instance", "a").replace("$__rate_interval", "5m") for one in queries()]
    assert not [one for one in plain if "$" in one]
    found = [{"record": f"q:n{n}", "expr": one} for n, one in enumerate(plain)]
    path = tmp_path / "queries.yml"
    path.write_text(json.dumps({"groups": [{"name": "g", "rules": found}]}))
    code, told = promtool("check", "rules", path)
    assert code == 0, told
