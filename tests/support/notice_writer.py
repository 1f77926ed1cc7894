"""Notices in ten formats, written as their senders do it: by Python's own mail and JSON only.

Each function gives the bytes for items (``value``: a URL, and ``sha1`` of its content or ``None``),
the time of sending, and the sender's reference.
"""

import json
import uuid
from datetime import UTC, datetime
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from email.mime.text import MIMEText
from email.utils import format_datetime
from html import escape

IP = "192.0.2.7"


def _time(seconds):
    return datetime.fromtimestamp(seconds, UTC)


def _mail(
    sent, subject, *parts, kind="mixed", text="Dear provider", headers=(), domain="hotline.example",
    **more,
):  # fmt: skip
    mail = MIMEMultipart(kind, **more)
    # Of the provider's own mail server.
    mail["Authentication-Results"] = f"mx.host.example; dmarc=pass header.from={domain}"
    mail["From"] = f"Hotline X <ntd@{domain}>"
    mail["To"] = "abuse@host.example"
    mail["Date"] = format_datetime(_time(sent))
    mail["Subject"] = subject
    for name, value in headers:
        mail[name] = value
    for part in (MIMEText(text, "plain", "utf-8"), *parts) if text else parts:
        mail.attach(part)
    return mail.as_bytes()


def _attached(text, name, kind):
    part = MIMEApplication(text.encode(), kind)
    part.add_header("Content-Disposition", "attachment", filename=name)
    return part


def _csv(items, headings):
    rows = [f"{one.value};{IP};2031-02-01 10:00:00;2031-02-01 11:00:00;" for one in items]
    return "\n".join([headings, *rows, ""])


def scart_nl(items, sent, reference):
    table = _csv(items, "url;IP;eerste keer;laatste keer;notitie")
    part = _attached(table, f"urls-{reference}.csv", "octet-stream")
    subject = f"[{reference}] Notice & Take Down bericht van Meldpunt Kinderporno"
    return _mail(sent, subject, MIMEText("<p>Geachte", "html"), part, text="")


def scart_en(items, _sent, _reference):
    return _csv(items, "url;IP;firstseen;lastseen;note").encode()


def scart_html(items, sent, reference):
    rows = "".join(
        f'<tr><td><a href="{escape(one.value)}">{escape(one.value)}</a></td><td>{IP}</td>'
        "<td>2031-02-01 10:00:00</td><td>2031-02-01 11:00:00</td><td></td></tr>"
        for one in items
    )
    heads = "".join(f"<th>{one}</th>" for one in ("url", "IP", "firstseen", "lastseen", "note"))
    text = f'<html><body>Dear all<table class="urls"><tr>{heads}</tr>{rows}</table></body></html>'
    subject = f"[{reference}] Notice & Take Down message from Meldpunt Kinderporno"
    return _mail(sent, subject, MIMEText(text, "html", "utf-8"), text="")


def xarf_02(items, sent, reference):
    reports = [
        MIMEText(
            f"---\nReported-From: ntd@hotline.example\nCategory: abuse\nReport-Type: child-abuse\n"
            f"Report-ID: {reference}\nUser-Agent: reporter 1.0\nDate: {format_datetime(_time(sent))}\n"
            f"Source: {one.value}\nSource-Type: uri\nPort: 80\nService: http\n"
        )
        for one in items
    ]
    for one in reports:
        one.add_header("Content-Disposition", "attachment", filename="report.txt")
    headers = [("X-XARF", "BULK"), ("Auto-Submitted", "auto-generated")]
    return _mail(sent, "abuse report", *reports, headers=headers)


def xarf_3(items, sent, reference):
    reports = [
        {
            "Version": "3", "Disclosure": True,
            "ReporterInfo": {
                "ReporterOrg": "Hotline Y", "ReporterOrgDomain": "y.example",
                "ReporterOrgEmail": "ntd@y.example",
            },
            "Report": {
                "ReportClass": "Content", "ReportType": "ChildAbuse", "SourceIp": IP,
                "Date": _time(sent).isoformat(), "SourceUrl": one.value, "ReporterCaseID": reference,
            },
        }
        for one in items
    ]  # fmt: skip
    feedback = MIMENonMultipart("message", "feedback-report")
    feedback.set_payload("Feedback-Type: xarf\nUser-Agent: reporter\nVersion: 1\n")
    return _mail(
        sent, "abuse report", feedback, _attached(json.dumps(reports), "xarf.json", "json"),
        kind="report", report_type="feedback-report", domain="y.example",
    )  # fmt: skip


def xarf_4(items, sent, reference):
    who = {"org": "Hotline Z", "contact": "ntd@z.example", "domain": "z.example"}
    reports = [
        {
            "xarf_version": "4.2.0", "report_id": reference, "timestamp": _time(sent).isoformat(),
            "reporter": who, "sender": who, "source_identifier": IP, "category": "content",
            "type": "csam", "url": one.value, "classification": "baseline",
            "detection_method": "manual_review",
        } | ({"hash_values": {"sha1": one.sha1}} if one.sha1 else {})
        for one in items
    ]  # fmt: skip
    return json.dumps(reports).encode()


def arf(items, sent, _reference):
    report = MIMENonMultipart("message", "feedback-report")
    uris = "".join(f"Reported-URI: {one.value}\n" for one in items)
    report.set_payload(
        f"Feedback-Type: abuse\nUser-Agent: reporter/1.0\nVersion: 1\nSource-IP: {IP}\n"
        f"Arrival-Date: {format_datetime(_time(sent))}\n{uris}"
    )
    return _mail(sent, "report", report, kind="report", report_type="feedback-report")


def key_value(items, _sent, _reference):
    rows = (f"URL: {one.value}\n{_sum(one)}IP: {IP}\n\n" for one in items)
    return "".join(rows).encode()


def _sum(one):
    return f"SHA1: {one.sha1}\n" if one.sha1 else ""


def cybertip(items, sent, reference):
    def defanged(url):
        return url.replace("http://", "hxxp://").replace(".", "[.]")

    rows = (f"Image Path: {defanged(one.value)}\nIP: 192.0.2[.]7\n{_sum(one)}\n" for one in items)
    return _mail(sent, f"[Report #{reference}] Notice", text="We found:\n\n" + "".join(rows))


def plain_list(items, _sent, _reference):
    rows = (f"{one.value} {one.sha1 or ''}".rstrip() + "\n" for one in items)
    return "".join(rows).encode()


def reference(writer, number):
    """A reference as the senders of a format give it; ``None``: the format has no place for it."""
    if writer is arf:
        return None
    if writer is xarf_4:
        return str(uuid.UUID(int=number + 1))
    return {
        scart_nl: f"A{number:010}",
        scart_html: f"A{number:010}",
        cybertip: f"{number + 100}",
    }.get(writer, f"N-{number:03}")
