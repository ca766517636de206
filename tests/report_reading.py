"""A report's page as tests read it."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """The tags, the attributes and the text of a page; fails on tags that do not match.

    `rows` holds the texts of each cell of each row of a table's body, the drawings left out.
    """

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts, self.rows = [], [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append(dict(attrs))
        if tag == "tr" and "tbody" in self.open:
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append([])
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if "td" in self.open and "svg" not in self.open:
            self.rows[-1][-1].append(data)

    @property
    def text(self):
        return " ".join(self.texts)

    def with_class(self, name):
        return [a for a in self.attributes if name in a.get("class", "").split()]
