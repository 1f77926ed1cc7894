"""Invented notices, one for each format, and mails around them."""

import base64
import json
import os

MD5, SHA1, SHA256 = "0a" * 16, "0b" * 20, "0c" * 32
MEDIA = os.urandom(3000)


def mail(*parts, subject="Notice", kind="mixed", headers=()):
    """A mail of parts: pairs of headers and content."""
    lines = [
        b"From: Hotline <ntd@hotline.example>",
        b"Reply-To: answers@hotline.example",
        b"Date: Thu, 2 Jan 2025 10:00:00 +0100",
        b"Subject: " + subject.encode(),
        *(one.encode() for one in headers),
        b"MIME-Version: 1.0",
        b"Content-Type: multipart/" + kind.encode() + b'; boundary="=_b"',
        b"",
    ]
    for head, content in parts:
        lines += [
            b"--=_b",
            head.encode(),
            b"",
            content if isinstance(content, bytes) else content.encode(),
        ]
    return b"\r\n".join([*lines, b"--=_b--", b""])


def plain(text, charset="utf-8"):
    return f"Content-Type: text/plain; charset={charset}", text.encode(charset)


def html(text):
    return "Content-Type: text/html; charset=utf-8", text.encode()


def attached(name, text, kind="application/octet-stream"):
    head = f'Content-Type: {kind}\r\nContent-Disposition: attachment; filename="{name}"\r\nContent-Transfer-Encoding: base64'
    return head, base64.encodebytes(text.encode())


def picture(content=MEDIA, kind="image/jpeg"):
    return f"Content-Type: {kind}\r\nContent-Transfer-Encoding: base64", base64.encodebytes(content)


SCART_EN = """url;IP;firstseen;lastseen;note
https://img.example/a/1.jpg;192.0.2.7;2025-01-02 10:00:00;2025-01-02 11:00:00;
https://img.example/a/2.jpg;x=1;2001:db8::7;2025-07-02 10:00:00;2025-07-02 11:00:00;second; third
"""
SCART_NL = """url;IP;eerste keer;laatste keer;notitie
https://img.example/a/1.jpg;192.0.2.7;2025-01-02 10:00:00;2025-01-02 11:00:00;let op
"""
SCART_URL = "url;note\nhttps://img.example/a/1.jpg;\nhttps://img.example/a/2.jpg;j=1;\n"
SCART_POLICE = """url;reason;IP;firstseen;lastseen
https://img.example/a/1.jpg;article 240b;192.0.2.7;2025-01-02 10:00:00;2025-01-02 11:00:00
"""
SCART_TABLE = """<html><head><style>td {{ color: red }}</style></head><body>
<table width=100%><tr><td>Dear provider, see https://hotline.example/ <br>
<table class="urls"><tr><th>url</th><th>IP</th><th>eerste keer</th><th>laatste keer</th><th>notitie</th></tr>
<tr><td><a href="https://img.example/a/1.jpg?x=1&amp;y=2">https://img.example/a/1.jpg?x=1&amp;y=2</a></td>
<td>192.0.2.7</td><td>2025-01-02 10:00:00</td><td>2025-01-02 11:00:00</td><td>n&eacute;</td></tr>
<tr><td><a href='https://img.example/a/2.jpg'>link</a><td>192.0.2.8<td>2025-01-02 10:00:00<td><td>
</table></td></tr></table></body></html>"""
XARF_4 = {
    "xarf_version": "4.2.0", "report_id": "6f1c2f0e-0000-4000-8000-000000000001",
    "timestamp": "2025-01-02T10:00:00Z",
    "reporter": {"org": "Hotline X", "contact": "ntd@x.example", "domain": "x.example"},
    "sender": {"org": "Hotline X", "contact": "ntd@x.example", "domain": "x.example"},
    "source_identifier": "192.0.2.7", "category": "content", "type": "csam",
    "url": "https://img.example/a/1.jpg", "classification": "baseline",
    "detection_method": "manual_review", "hash_values": {"md5": MD5, "sha1": SHA1, "photodna": "x"},
    "evidence": [{"content_type": "image/jpeg", "payload": base64.b64encode(MEDIA[:90]).decode()}],
}  # fmt: skip
XARF_3 = {
    "Version": "3",
    "ReporterInfo": {
        "ReporterOrg": "Hotline X", "ReporterOrgDomain": "x.example", "ReporterOrgEmail": "ntd@x.example",
    },
    "Disclosure": True,
    "Report": {
        "ReportClass": "Content", "ReportType": "ChildAbuse", "Date": "2025-01-02T10:00:00Z",
        "SourceIp": "192.0.2.7", "SourceUrl": "https://img.example/a/1.jpg", "ReporterCaseID": "X-1",
        "Samples": [{"ContentType": "image/jpeg", "Payload": base64.b64encode(MEDIA[:90]).decode()}],
    },
}  # fmt: skip
XARF_02 = """---
Reported-From: ntd@x.example
Category: abuse
Report-Type: child-abuse
Report-ID: 42@x.example
User-Agent: reporter 1.0
Date: Thu, 02 Jan 2025 11:00:00 +0100
Source: https://img.example/a/1.jpg
Source-Type: uri
Port: 443
Service: http
"""
ARF = """Feedback-Type: abuse
User-Agent: reporter/1.0
Version: 1
Source-IP: 192.0.2.7
Arrival-Date: Thu, 2 Jan 2025 11:00:00 +0100
Reported-URI: https://img.example/a/1.jpg
Reported-URI: https://img.example/a/2.jpg
"""
IWF = """Dear provider,

IWF serial number: 123456
URL: https://img.example/a/1.jpg
URL remarks: a zip file
Reason code: A
Password: secret 1
IP address: 192.0.2.7
Time assessed: 02/01/2025 10:00:00
Ref control: 9

Also URLs:
https://img.example/a/2.jpg
https://img.example/a/3.jpg

IWF serial number: 123457
URL: https://img.example/b/1.jpg
IP address: 192.0.2.8

Kind regards
See https://hotline.example/ for more.
"""
CYBERTIP = f"""The following was found:

hxxps://img[.]example/a/page.html
Image Path: hxxps://img[.]example/a/1.jpg
Referring page: hxxps://other[.]example/
IP: 192.0.2[.]7
SHA1: {SHA1.upper()}
MD5: {MD5}

Image Path: hxxps://img[.]example/a/2.jpg
SHA1: {"0d" * 20}
"""
FSM = """Date/Time assessed: 02.01.2025 10:00
Hotline unique report number: 77
IP address: 192.0.2.7
URL(s):
https://img.example/a/1.jpg
https://img.example/a/2.jpg

Kind regards
"""
NCMEC = """We have received a number of reports
for the same domain:

https://img.example/a/1.jpg
https://img.example/a/2.jpg

The domain resolves to 192.0.2.7.
See https://hotline.example/
"""
JUGENDSCHUTZ = """We received a report on the following URL:

https://img.example/a/1.jpg

IP: 192.0.2.7
"""
PHAROS = """These contents are visible at the following addresses:
- https://img.example/a/1.jpg
- https://img.example/a/2.jpg
img.example is hosted at 192.0.2.7.
"""
MELDPUNT = """<table><tr><td>Dear</td></tr>
<tr><td>https://img.example/a/1.jpg</td><td>192.0.2.7</td><td>2025-01-02 10:00</td></tr>
<tr><td>https://img.example/a/2.jpg</td><td>192.0.2.8</td><td>2025-01-02 11:00</td></tr></table>"""
KEY_VALUE = f"URL: https://img.example/a/1.jpg (page 2)\nSHA256: {SHA256}\nIP: 192.0.2.7\n"


def xarf_3_mail(report=None):
    return mail(
        plain("Dear all"), ("Content-Type: message/feedback-report", "Feedback-Type: xarf\r\nVersion: 1"),
        attached("xarf.json", json.dumps(report or XARF_3), "application/json"),
        kind="report; report-type=feedback-report",
    )  # fmt: skip


def every():
    """Format to an input in it; each has ``https://img.example/a/1.jpg``."""
    return {
        "scart-csv": mail(html("<p>Dear"), attached("urls-A0000001234.csv", SCART_EN)),
        "scart-html": mail(html(SCART_TABLE), subject="[A0000001234] Notice & Take Down"),
        "xarf-4": json.dumps(XARF_4).encode(),
        "xarf-3": xarf_3_mail(),
        "xarf-0.2": mail(
            plain("Dear all"), attached("report.txt", XARF_02, "text/plain"), picture(),
            headers=["X-XARF: PLAIN", "Auto-Submitted: auto-generated"],
        ),
        "arf": mail(
            plain("Dear all"), ("Content-Type: message/feedback-report", ARF),
            ("Content-Type: message/rfc822", mail(plain("https://other.example/")).replace(b"=_b", b"=_i")),
            kind="report; report-type=feedback-report",
        ),
        "iwf": mail(plain(IWF)),
        "cybertip": mail(plain(CYBERTIP), subject="[Report #123] Notice"),
        "fsm": FSM.encode(),
        "ncmec": mail(plain(NCMEC), subject="Notice of possible child exploitation on your service"),
        "jugendschutz": mail(plain(JUGENDSCHUTZ)),
        "pharos": mail(plain(PHAROS)),
        "meldpunt": mail(html(MELDPUNT), subject="Notice of child sexual abuse images"),
        "key-value": KEY_VALUE.encode(),
        "list": f"https://img.example/a/1.jpg\n/srv/www/a.jpg\n{MD5} {SHA1}\n".encode(),
    }  # fmt: skip
