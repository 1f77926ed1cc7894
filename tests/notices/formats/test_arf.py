"""ARF: mails with a message/feedback-report."""

import notice_samples as samples
from notice_samples import mail
from read_notice import ONE, TEN, TWO, read, refusal, urls


def test_arf():
    notice = read(samples.every()["arf"])
    assert urls(notice) == [ONE, TWO]
    assert (notice.items[0].ip, notice.items[0].first_seen) == ("192.0.2.7", TEN)

    def changed(old, new):
        return mail(("Content-Type: message/feedback-report", samples.ARF.replace(old, new)))

    assert "names no Reported-URI" in refusal(changed("Reported-URI", "X-URI"), "arf")
    assert "of the type fraud, not abuse" in refusal(changed("Type: abuse", "Type: fraud"))
    assert urls(read(changed("Type: abuse", "Type: fraud"), "arf")) == [ONE, TWO]
