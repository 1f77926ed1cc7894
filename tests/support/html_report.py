"""The HTML page of a report, read as a browser reads it."""

from html.parser import HTMLParser

from hashscan.report import as_html

VOID = {"meta", "link", "br", "img", "input"}


class Structure(HTMLParser):
    """Collects tags with their attributes' names, and the text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text, self.open, self.attributes = [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == [], "every element ends"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.attributes += [(tag, *one) for one in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, *one) for one in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def page_of(found):
    return as_html.as_html(found).decode("ascii")
