"""Where things lie in the bytes of a GGUF file, for tests that change them."""

import struct

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY = 8, 9


class Gguf:
    """tensors: name -> (type, elements, where its data begins); entries: key -> (begin, end)"""

    def __init__(self, raw):
        self.raw, self.at = raw, 8
        n_tensors, n_entries = self.take("Q"), self.take("Q")
        self.entries = {}
        for _ in range(n_entries):
            key, kind, begin = self.string(), self.take("I"), self.at
            self.skip(kind)
            self.entries[key] = (begin, self.at)
        offsets = {}
        for _ in range(n_tensors):
            name, elements = self.string(), 1
            for _ in range(self.take("I")):
                elements *= self.take("Q")
            offsets[name] = (self.take("I"), elements, self.take("Q"))
        self.header_end = self.at
        self.data = (self.at + 31) // 32 * 32
        self.tensors = {name: (kind, n, self.data + at) for name, (kind, n, at) in offsets.items()}

    def take(self, form):
        value, = struct.unpack_from("<" + form, self.raw, self.at)
        self.at += struct.calcsize("<" + form)
        return value

    def string(self):
        length = self.take("Q")
        self.at += length
        return bytes(self.raw[self.at - length: self.at]).decode("utf-8", "replace")

    def skip(self, kind):
        if kind == STRING:
            self.string()
        elif kind == ARRAY:
            kind, count = self.take("I"), self.take("Q")
            for _ in range(count):
                self.skip(kind)
        else:
            self.at += SIZES[kind]


def with_string(raw, key, value):
    """The file with another string under a key that it has."""
    file = Gguf(raw)
    begin, end = file.entries[key]
    head = raw[:begin] + struct.pack("<Q", len(value)) + value + raw[end: file.header_end]
    return head + bytes(-len(head) % 32) + raw[file.data:]
