"""One mistake at every node: its sentence says what must hold, what it got and what to do, and the red node is the right one."""
from __future__ import annotations

import node_errors
import pytest
from pack import make_host
from talking_heads.host.workflow_error import WorkflowError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """One for all: what several mistakes are linked to is made once."""
    base = tmp_path_factory.mktemp("errors")
    host = make_host(base)
    node_errors.write_bad_files(base)
    return host


def test_every_node_is_tried(host):
    nodes = set(host.packs[0].nodes)
    assert nodes == set(node_errors.MISTAKES) | node_errors.SOCKETS_ONLY
    assert not set(node_errors.MISTAKES) & node_errors.SOCKETS_ONLY


def test_nodes_of_sockets_only_have_nothing_to_type(host):
    """What is typed or chosen can be wrong, so a node with such an input belongs to the others; bounded numbers do not count."""
    for node_id, info in host.object_info(sorted(node_errors.SOCKETS_ONLY)).items():
        assert not [name for name, spec in info["input"]["required"].items() if spec[0] == "STRING"], node_id


@pytest.mark.parametrize("node_id", sorted(node_errors.MISTAKES))
def test_the_sentence_of_a_node(host, node_id):
    infos = host.object_info(sorted(host.packs[0].nodes))
    try:
        result = host.run(node_errors.prompt(node_id, infos))
    except WorkflowError as refused:  # before anything ran
        message = str(refused)
        assert f"{node_id} (wrong)" in message
    else:
        assert result.status == "error"
        assert result.error["node_id"] == "wrong"
        message = result.error["exception_message"]
    assert node_errors.MISTAKES[node_id][1] in message
    assert "Got:" in message
    what_to_do = message.rpartition("Got:")[2].partition(". ")[2]
    assert len(what_to_do) > 10, message


def test_inputs_of_later_versions_may_be_absent(host):
    """Prompts saved before an optional input existed still run: every optional input has a default where the node is called."""
    import inspect

    for node_id, node in host.packs[0].nodes.items():
        given = inspect.signature(node.execute).parameters
        optional = host.object_info([node_id])[node_id]["input"].get("optional", {})
        missing = [name for name in optional if name in given and given[name].default is inspect.Parameter.empty]
        assert not missing, (node_id, missing)
