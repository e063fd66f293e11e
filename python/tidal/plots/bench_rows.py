"""Rows of `tidal bench --json` as series that can be drawn."""

import re

_DECODE = re.compile(r"tg\d+ @ d(\d+)")


def depth(row):
    """The cache depth of a decode row of one sequence, None for other tests."""
    match = _DECODE.fullmatch(row["test"])
    return int(match[1]) if match else None


def decode_series(documents, value):
    """{"model quant, kv cache": {method: [(depth, value), ...] by depth}}, in the rows' order."""
    groups = {}
    for document in documents:
        for row in document.get("rows", []) if isinstance(document.get("rows"), list) else []:
            at = depth(row)
            if at is None or row.get(value) is None:
                continue
            setting = f"{row['model']} {row['quant']}, {row['kv']} cache"
            groups.setdefault(setting, {}).setdefault(row["method"], []).append((at, row[value]))
    for series in groups.values():
        for points in series.values():
            points.sort()
    return groups
