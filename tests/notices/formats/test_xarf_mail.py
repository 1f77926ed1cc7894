"""XARF reports in a mail, of the versions 3 and 0.2."""

import notice_samples as samples
from notice_samples import attached, mail, plain
from read_notice import HOUR, ONE, TEN, read, refusal, urls


def test_xarf_3():
    notice = read(samples.xarf_3_mail())
    (item,) = notice.items
    assert (item.ip, item.first_seen) == ("192.0.2.7", TEN)
    assert (notice.sender, notice.contact, notice.reference) == (
        "Hotline X",
        "ntd@x.example",
        "X-1",
    )
    assert notice.sent == TEN - HOUR  # the mail's Date


def test_xarf_02():
    notice = read(samples.every()["xarf-0.2"])
    assert (urls(notice), notice.dropped) == ([ONE], 1)
    assert (notice.sender, notice.reference, notice.sent) == (
        "ntd@x.example",
        "42@x.example",
        TEN - HOUR,
    )

    def changed(old, new):
        text = samples.XARF_02.replace(old, new)
        return mail(
            plain("Hello"), attached("report.txt", text, "text/plain"), headers=["X-XARF: PLAIN"]
        )

    reports = [attached("report.txt", samples.XARF_02.replace("1.jpg", one), "text/plain")
               for one in ("1.jpg", "2.jpg")]  # fmt: skip
    several = read(mail(plain("Hello"), *reports, headers=["X-XARF: BULK"]))
    assert (len(several.items), several.reference) == (2, "42@x.example"), "one case, said once"
    assert "about 'spam', not child abuse" in refusal(changed("child-abuse", "spam"))
    assert "without a URL" in refusal(changed(ONE, "192.0.2.7"))
    # Not YAML: the lines count.
    assert urls(read(changed("User-Agent: reporter 1.0", "User-Agent: a: b: [c"))) == [ONE]
    aliases = "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*a, *a, *a]\n" for n in range(50))
    assert urls(read(changed("Port: 443\n", aliases))) == [ONE]
    assert "more than 16 KiB" in refusal(changed("Port: 443\n", "a: b\n" * 10_000), "xarf-0.2")


def test_xarf_02_with_much_text_in_its_reports_is_refused():
    """Each is read as YAML, which is slow: 200 of 16 KiB took most of a minute."""
    one = "--b\nContent-Type: text/plain; name=report.txt\n\nReport-Type: child\nSource: {}\n{}"
    text = "From: a@b.example\nX-XARF: PLAIN\nContent-Type: multipart/mixed; boundary=b\n\n"

    def reports(number, more=""):
        each = (one.format(f"https://x.example/{at}", more) for at in range(number))
        return text + "".join(each)

    assert len(read(reports(150)).items) == 150
    large = "#" + "x" * 15_000 + "\n"
    assert len(read(reports(21, large)).items) == 21
    assert "has reports of more than 320 KiB together" in refusal(reports(22, large), "xarf-0.2")
