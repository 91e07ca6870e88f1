"""Damaged files out of whole ones: the same random numbers give the same bytes.

What the ending says decides how a file is damaged, beside flipped, cut and doubled bytes: JSON values of other types and sizes,
headers, descriptions, shapes and numbers of safetensors and .npy files, cells of tables.
"""
from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from random import Random
from typing import Any

RAW = "\ue000"  # stands around JSON text that json.dumps cannot write
VALUES = (None, True, False, 0, 1, -1, 2, 7, 255, 2**31, 2**63, 10**18, 10**30, -10**19, 0.5, -0.0, 1e-9, 1e9, 1e300, math.nan,
          math.inf, -math.inf, "", "x", "1", "../x", "/x", "a" * 300, "{}", "{:9999999999}", "\0", "\u00b2", "\U0001f600",
          "NaN", [], [[]], [0], [1, 2], [None, "a"], [0.0] * 1000, {}, {"a": 1}, {"": None},
          f"{RAW}{'1' * 5000}{RAW}", f"{RAW}1e400{RAW}", f"{RAW}{'[' * 3000}{']' * 3000}{RAW}", f'{RAW}"\\ud800"{RAW}')
NUMBERS = ("", "nan", "inf", "-inf", "-1", "0", "1e9", "1e18", "1e300", "1e400", "9" * 400, "x", "1,2", "\u0661", "0x10", "1_0",
           "\0", '"')
FLOATS = {"F64": "d", "F32": "f", "F16": "e"}
WIDTHS = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
PREFIX = "talking_heads.config"


def mutated(content: bytes, name: str, random: Random) -> bytes:
    """`content`, the bytes of a file called `name`, with one to three damages."""
    ending = name.rpartition(".")[2].lower()
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        kind = BY_ENDING.get(ending)
        damage = kind if kind is not None and random.random() < 0.8 else damaged_bytes
        content = damage(content, random)
    return content


def damaged_bytes(content: bytes, random: Random) -> bytes:
    """Flipped, cut, doubled, zeroed or foreign bytes; more often near the beginning, where headers are."""
    size = len(content)
    reach = max(1, size if random.random() < 0.5 else min(size, 256))
    at, length = random.randrange(reach), random.choice((1, 2, 4, 8, 64, 4096))
    how = random.randrange(8)
    if how < 3:
        out = bytearray(content)
        for _ in range(random.choice((1, 1, 2, 8))):
            if out:
                out[random.randrange(min(reach, len(out)))] ^= 1 << random.randrange(8)
        return bytes(out)
    piece = (b"\0" * length, b"\xff" * length, bytes(random.randrange(256) for _ in range(min(length, 64))),
             content[at:at + length])[random.randrange(4)]
    return (content[:at], content[:at] + piece + content[at + length:], content[:at] + piece + content[at:],
            content[:at] + content[at + length:], content + piece)[how - 3]


# JSON ---------------------------------------------------------------------------------------------------------------------------

def damaged_json(content: bytes, random: Random) -> bytes:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return damaged_bytes(content, random)
    text = dumped(changed(value, random))
    how = random.randrange(40)
    if how == 0:
        return text.encode("utf-16", "surrogatepass")
    if how == 1:
        return b"\xef\xbb\xbf" + text.encode("utf-8", "surrogatepass")
    if how == 2:
        return text.encode("latin-1", "replace")
    return text.encode("utf-8", "surrogatepass")


def dumped(value: Any) -> str:
    parts = json.dumps(value).split(json.dumps(RAW)[1:-1])  # texts between marks are JSON as they stand
    for i in range(1, len(parts), 2):
        parts[i] = json.loads(f'"{parts[i]}"')
        parts[i - 1], parts[i + 1] = parts[i - 1][:-1], parts[i + 1][1:]  # the quotes around it
    return "".join(parts)


def changed(value: Any, random: Random) -> Any:
    """`value` with one place changed: another value, an entry more or fewer, or under another name."""
    places = _places(value)
    holder, key = places[random.randrange(len(places))]
    if holder is None:
        return random.choice(VALUES)
    how = random.randrange(10)
    if how < 6:
        holder[key] = random.choice(VALUES)
    elif how < 8:
        del holder[key]
    elif isinstance(holder, dict):
        holder[random.choice(("", "x", "../x", *map(str, holder)))] = holder.pop(key)
    else:
        holder.extend([holder[key]] * random.choice((1, 2, 50)))
    return value


def _places(value: Any, most: int = 4000) -> list[tuple[Any, Any]]:
    """(holder, key) of every place in a JSON value; (None, None) is the whole."""
    places: list[tuple[Any, Any]] = [(None, None)]
    waiting = [value]
    while waiting and len(places) < most:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        for key in keys:
            places.append((holder, key))
            waiting.append(holder[key])
    return places


# safetensors --------------------------------------------------------------------------------------------------------------------

def damaged_safetensors(content: bytes, random: Random) -> bytes:
    try:
        length = int.from_bytes(content[:8], "little")
        header, data = json.loads(content[8:8 + length]), content[8 + length:]
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        ways = (_description, _description, _description, _header, _numbers, _numbers, _rebuilt, _rebuilt, _header_bytes)
        return random.choice(ways)(content, header, entries, data, random)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, struct.error, OverflowError):
        return damaged_bytes(content, random)  # damaged before


def _joined(header: Any, data: bytes) -> bytes:
    text = dumped(header).encode("utf-8", "surrogatepass")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data


def _description(content: bytes, header: dict, entries: dict, data: bytes, random: Random) -> bytes:
    about = header.setdefault("__metadata__", {})
    if random.random() < 0.1 or PREFIX not in about:
        return _joined({**header, "__metadata__": changed(about, random)}, data)
    about[PREFIX] = dumped(changed(json.loads(about[PREFIX]), random))
    return _joined(header, data)


def _header(content: bytes, header: dict, entries: dict, data: bytes, random: Random) -> bytes:
    return _joined(changed(header, random), data)


def _header_bytes(content: bytes, header: dict, entries: dict, data: bytes, random: Random) -> bytes:
    length = len(content) - len(data)
    return damaged_bytes(content[:length], random) + data


def _numbers(content: bytes, header: dict, entries: dict, data: bytes, random: Random) -> bytes:
    """Numbers of one tensor: NaN, infinity, huge, negative, zero; some or all."""
    name = random.choice(sorted(entries))
    begin, end = entries[name]["data_offsets"]
    kind = FLOATS.get(entries[name]["dtype"])
    width = WIDTHS.get(entries[name]["dtype"], 1)
    values = (math.nan, math.inf, -math.inf, 6e4, -6e4, 0.0, -1.0)
    number = struct.pack("<" + kind, random.choice(values)) if kind else bytes([random.choice((0, 1, 127, 128, 255))]) * width
    count = (end - begin) // width
    if not count:
        return content
    out = bytearray(data)
    for place in range(count) if random.random() < 0.3 else (random.randrange(count) for _ in range(random.choice((1, 3)))):
        out[begin + place * width:begin + (place + 1) * width] = number
    return _joined(header, bytes(out))


def _rebuilt(content: bytes, header: dict, entries: dict, data: bytes, random: Random) -> bytes:
    """A whole file of which one tensor is missing, shorter, longer, of another shape or kind, or under another name."""
    parts = {name: [entry["dtype"], list(entry["shape"]), data[slice(*entry["data_offsets"])]] for name, entry in entries.items()}
    name, other = random.choice(sorted(parts)), random.choice(sorted(parts))
    kind, shape, numbers = parts[name]
    how = random.randrange(7)
    if how == 0:
        del parts[name]
    elif how == 1:
        parts[random.choice(("x", f"{name}.x", other))] = parts.pop(name)
    elif how == 2:
        parts[name], parts[other] = parts[other], parts[name]
    elif how == 3:
        parts[name][1] = random.choice(([math.prod(shape)], [1, *shape], [*shape, 1], shape[::-1]))
    elif how == 4:  # another number of rows
        row = math.prod(shape[1:]) * WIDTHS[kind] if shape else 0
        rows = random.choice((0, 1, 2, max(0, (shape or [0])[0] - 1), (shape or [0])[0] + 1))
        if shape:
            parts[name] = [kind, [rows, *shape[1:]], (numbers + numbers[:row] * 2 + b"\0" * (rows * row))[:rows * row]]
    elif how == 5:
        parts[name][0] = random.choice([k for k, width in WIDTHS.items() if width == WIDTHS[kind]])
    else:
        parts[name] = random.choice((["F32", [], b"\0" * 4], ["F32", [0], b""], ["U8", [3], b"abc"], ["F32", [1, 1], b"\0" * 4]))
    layout, out = {"__metadata__": header.get("__metadata__", {})}, []
    begin = 0
    for key, (kind, shape, numbers) in parts.items():
        layout[key] = {"dtype": kind, "shape": shape, "data_offsets": [begin, begin + len(numbers)]}
        begin += len(numbers)
        out.append(numbers)
    return _joined(layout, b"".join(out))


# tables and arrays --------------------------------------------------------------------------------------------------------------

def damaged_table(content: bytes, random: Random, between: str = ",") -> bytes:
    rows = [line.split(between) for line in content.decode("utf-8", "replace").split("\n")]
    row = random.choice(rows)
    cell, how = random.randrange(len(row)), random.randrange(10)
    if how < 5:
        row[cell] = random.choice(NUMBERS)
    elif how == 5:
        del row[cell]
    elif how == 6:
        rows.remove(row)
    elif how == 7:
        rows.insert(random.randrange(len(rows)), list(row))
    elif how == 8:
        random.shuffle(rows)
    else:
        value = random.choice(NUMBERS)
        for one in rows[1:]:
            if cell < len(one):
                one[cell] = value
    return "\n".join(between.join(one) for one in rows).encode("utf-8", "replace")


def damaged_points(content: bytes, random: Random) -> bytes:
    return damaged_table(content, random, " ")


def damaged_npy(content: bytes, random: Random) -> bytes:
    """The header is Python source: other shapes, kinds, and what does not parse."""
    end = content.find(b"\n") + 1
    if end < 12:
        return damaged_bytes(content, random)
    head = content[10:end].decode("latin-1")
    pairs = (("(", "(" * random.choice((1, 200)) + "9" * random.choice((0, 1, 12)) + ","), ("'<", "'>"), ("False", "True"),
             ("'descr': '", "'descr': '|O"), ("}", ""), ("{", "[" * 500), ("'shape'", "'shap'"), ("(", "(-"), ("u1", "f8"),
             ("b1", "O"), ("f4", "c16"), ("'", '"""'))
    old, new = random.choice(pairs)
    head = head.replace(old, new, 1).encode("latin-1")
    return content[:8] + (len(head) & 0xffff).to_bytes(2, "little") + head + content[end:]


BY_ENDING: dict[str, Callable[[bytes, Random], bytes]] = {
    "json": damaged_json, "safetensors": damaged_safetensors, "csv": damaged_table, "lms": damaged_points, "npy": damaged_npy}
