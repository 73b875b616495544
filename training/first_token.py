"""Compute the last encoder layer of a classifier's graph for the first token only.

BERT and its kin classify by `hidden[:, 0]`: of the last layer only the keys and values of the other
tokens are ever used. What lies between the head's choice of token 0 and the hidden states that keys
and values are made of treats each token by itself, attention too as far as its queries go. So token
0 may just as well be taken before all that, from those hidden states: no answer changes, and ten of
the twelve parts of the layer's products are saved.

The head's own choice stays; it takes the first of one token then. It is done to a graph that is
quantised already: ranges measured on first tokens alone are too narrow for texts of another kind.
"""

from collections.abc import Iterable
from typing import Any

_TOKENS, _QUERIES = 1, 2  # axes: of the tokens in hidden states, of the queries in a mask
_ATTENTION = "ScaledDotProductAttention"
# They treat each token by itself; the latter do when only their first input is of the row.
_PLAIN = {"Add", "Convert", "FakeQuantize", "Gelu", "Multiply", "Relu", "Subtract", _ATTENTION}
_BY_WEIGHTS = {"MatMul", "MVN", "Reshape", "Transpose"}


def only_first_token(graph: Any) -> bool:
    """Change the graph in place; False for one of another form, which is left as it was."""
    nodes = graph.get_ordered_ops()
    heads = [node for node in nodes if _takes_first_token(node)]
    layers = [node for node in nodes if node.get_type_name() == _ATTENTION]
    if len(heads) != 1 or not layers or not _is_masked(layers[-1]):
        return False
    head, attention = heads[0], layers[-1]
    # Keys, values, the mask and all they are made of: for every token.
    kept = _before(attention.input_values()[1:])
    spared = _before([head.input_value(0)]) - kept
    if not {attention, attention.input_value(0).get_node()} <= spared:
        return False
    hidden = [
        way
        for node in nodes
        if node in spared and node != attention
        for way in node.inputs()
        if way.get_source_output().get_node() in kept
    ]
    if any(len(way.get_partial_shape()) != 3 for way in hidden):
        return False
    if not all(_treats_each_by_itself(node, {*spared, head}) for node in spared):
        return False
    _cut([attention.input(3)], _QUERIES)
    _cut(hidden, _TOKENS)
    graph.validate_nodes_and_infer_types()
    return True


def _takes_first_token(node: Any) -> bool:
    return (
        node.get_type_name() == "Gather"
        and len(node.get_input_partial_shape(0)) == 3
        and [_constant(node.input_value(at)) for at in (1, 2)] == [0, _TOKENS]
    )


def _is_masked(attention: Any) -> bool:
    return attention.get_input_size() > 3 and len(attention.get_input_partial_shape(3)) == 4


def _before(values: Iterable[Any]) -> set[Any]:
    """The operations that the values come from; constants are none."""
    found: set[Any] = set()
    ahead = [value.get_node() for value in values]
    while ahead:
        node = ahead.pop()
        if node not in found and node.get_type_name() != "Constant":
            found.add(node)
            ahead += [value.get_node() for value in node.input_values()]
    return found


def _treats_each_by_itself(node: Any, users: set[Any]) -> bool:
    """And its results are for nobody but these."""
    kind = node.get_type_name()
    if kind == "MVN" and _constant(node.input_value(1)) != [-1]:
        return False
    if kind in _BY_WEIGHTS and not _fixed(node.input_value(1)):
        return False
    uses = [use.get_node() for output in node.outputs() for use in output.get_target_inputs()]
    return kind in _PLAIN | _BY_WEIGHTS and users.issuperset(uses)


def _fixed(value: Any) -> bool:
    return all(node.get_type_name() != "Parameter" for node in _before([value]))


def _constant(value: Any) -> Any:
    node = value.get_node()
    return node.get_data().tolist() if node.get_type_name() == "Constant" else None


def _cut(ways: Iterable[Any], axis: int) -> None:
    """Let these inputs have the first of an axis only, which stays, one long."""
    from openvino import opset8

    cut: dict[Any, Any] = {}
    for way in ways:
        source = way.get_source_output()
        if source not in cut:
            cut[source] = opset8.gather(source, [0], axis)
        way.replace_source_output(cut[source].output(0))
