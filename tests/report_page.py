"""A report read as a browser and a screen reader do: whole, labelled, asking for nothing."""

from html.parser import HTMLParser
from pathlib import Path
import re

VOID = {"meta", "img", "br", "wbr"}


class ReportPage(HTMLParser):
    """The tags, links, ids and text of a page.  Asserts what every report promises."""

    def __init__(self, path):
        super().__init__()
        self.source = Path(path).read_text()
        self.tags, self.links, self.ids, self.open, self.text = [], [], [], [], ""
        self.attributes = []  # (tag, {attribute: value})
        self.feed(self.source)
        self._check()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes.append((tag, dict(attributes)))
        self.links += [v for k, v in attributes if k in ("src", "href", "xlink:href")]
        self.ids += [v for k, v in attributes if k == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"title", "desc", "style"} & set(self.open):
            self.text += data

    def _check(self):
        assert self.open == []
        assert len(set(self.ids)) == len(self.ids), "an id stands twice"
        links = [link for link in self.links if not link.startswith("data:image/jpeg;base64,")]
        assert all(link.startswith("#") and link[1:] in self.ids for link in links), links
        assert not re.search(r"url\(|@import|<script| on\w+=| style=", self.source)
        assert 'http-equiv="Content-Security-Policy"' in self.source
        for tag, given in self.attributes:
            if tag == "svg":
                assert given["role"] == "img" and given["aria-label"]
            if tag == "img":
                assert given["alt"]
        told = re.findall(r"<svg[^>]*><title>[^<]+</title><desc>[^<]+</desc>", self.source)
        assert len(told) == self.tags.count("svg")
        assert self.tags.count("table") == self.source.count('class="scroll" role="region"')
