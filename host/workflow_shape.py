"""Whether a workflow file has the shape that its form has: looked at before anything in it is used."""
from __future__ import annotations

from typing import Any

from ..media_core.schema import Check, Unfit, each, many, note, record, shown, text, whole

_BIG = 10 ** 15
_MOST = 100_000  # nodes, links, inputs
_SOCKET = whole(-1, 10_000)


def _or(*checks: Check) -> Check:
    """One of several."""
    def checked(value: Any, where: str) -> Any:
        for check in checks[:-1]:
            try:
                return check(value, where)
            except Unfit:
                continue
        return checks[-1](value, where)

    return checked


def _nothing(value: Any, where: str) -> Any:
    if value is not None:
        raise Unfit(where, "null", value)


def _anything(value: Any, where: str) -> Any:
    return value


def _link(value: Any, where: str) -> Any:
    """[id, source, its socket, target, its socket, type], as the page has always saved it; or an object of those."""
    if isinstance(value, dict):
        return _LINK(value, where)
    if not isinstance(value, list) or len(value) < 6:
        raise Unfit(where, "a link: six entries", value)
    for i, check in enumerate((_ID, _ID, _SOCKET, _OPTIONAL_ID, _OPTIONAL_SOCKET)):
        check(value[i], f"{where}[{i}]")
    return value


def inner(value: Any, where: str = "") -> Any:
    """What stands in an API form's node under `inputs`: any object. Links in it are checked with the nodes they lead to."""
    return each(_anything, text())(value, where)


def _proxy(value: Any, where: str) -> Any:
    """[inner node, widget], and perhaps an id that tells two of them apart."""
    if not isinstance(value, list) or not 2 <= len(value) <= 3 or not all(isinstance(part, str) for part in value):
        raise Unfit(where, "a promoted widget: [inner node, widget]", value)
    return value


_ID = _or(whole(-_BIG, _BIG), text(200))
_OPTIONAL_ID, _OPTIONAL_SOCKET = _or(_nothing, _ID), _or(_nothing, _SOCKET)
_LINK = record({"id": _ID, "origin_id": _ID, "origin_slot": _SOCKET},
               {"target_id": _OPTIONAL_ID, "target_slot": _OPTIONAL_SOCKET}, others=True)
_INPUT = record({"name": text()}, {"link": _OPTIONAL_ID, "type": _or(text(), whole(-1, 1), _nothing)}, others=True)
_VALUES = _or(_nothing, note(), many(_anything, most=_MOST))
_PAGE_NODE = record({"id": _ID, "type": text()}, {
    "mode": whole(0, 100), "title": _or(_nothing, text()), "inputs": _or(_nothing, many(_INPUT, most=_MOST)),
    "properties": _or(_nothing, record({}, {"proxyWidgets": _or(_nothing, many(_proxy, most=_MOST))}, others=True)),
    "widgets_values": _VALUES, "widgets_values_named": _or(_nothing, note())}, others=True)
_SOCKETS = _or(_nothing, many(record({"name": text()}, others=True), most=_MOST))


def _definitions(value: Any, where: str) -> Any:
    """Subgraphs, which may hold the definitions of others."""
    return _or(_nothing, record({}, {"subgraphs": _or(_nothing, many(_SUBGRAPH, most=_MOST))}, others=True))(value, where)


_GRAPH = {"links": _or(_nothing, many(_link, most=_MOST)), "definitions": _definitions}
_SUBGRAPH = record({"id": text(200), "nodes": many(_PAGE_NODE, most=_MOST)}, {**_GRAPH, "inputs": _SOCKETS, "outputs": _SOCKETS},
                   others=True)
_PAGE = record({"nodes": many(_PAGE_NODE, most=_MOST)}, _GRAPH, others=True)
_API_NODE = record({"class_type": text()}, {"inputs": inner, "_meta": record({}, {"title": _or(_nothing, text())}, others=True)},
                   others=True)


def page_fault(value: Any) -> str | None:
    """What is wrong with a workflow of the page's form; None when it has its shape."""
    return _fault(_PAGE, value)


def api_fault(value: Any) -> str | None:
    """The same of the API form."""
    return _fault(each(_API_NODE, text(200)), value)


def _fault(check: Check, value: Any) -> str | None:
    try:
        check(value, "")
    except Unfit as error:
        return f"{error.where.lstrip('.') or 'it'} must be {error.must}, not {shown(error.value)}"
    return None
