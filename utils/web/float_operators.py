"""Rewrite an 8-bit network to compute the same numbers with float operators.

ONNX Runtime in browsers has fast operators for floats and slow ones for 8 bits: the float network
needs half of the time. The rewritten network has the weights of the 8-bit file, in 8 bits too, and
rounds after each layer as that does, so it gives the answers of the 8-bit network. A rounded value
``q`` of a tensor with zero point ``z`` becomes the float ``q - z``, a whole number.

Sums of floats depend on their order. Where a sum lies between two whole numbers, it may be rounded
to the other one, as between any two builds of ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import helper, numpy_helper

LEVELS = 255  # the highest number in 8 bits
TO_FLOAT = helper.make_attribute("to", onnx.TensorProto.FLOAT)


def use_float_operators(model: onnx.ModelProto, clip_first: bool = False) -> onnx.ModelProto:
    """Return an 8-bit network that computes with float operators.

    Args:
        model: from ``train.quantize_onnx``; a float network is returned as it is.
        clip_first: clip values before they are rounded, not after. The numbers are the same,
            because the limits are whole. ONNX Runtime then clips within the convolution.

    Raises:
        ValueError: the network has an 8-bit operator that is not known here.
    """
    rewritten = onnx.ModelProto()
    rewritten.CopyFrom(model)
    graph = rewritten.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    writer = _Writer(constants, clip_first)
    for node in model.graph.node:
        writer.add(node)
    del graph.node[:]
    graph.node.extend(writer.nodes)
    used = {name for node in writer.nodes for name in node.input}
    kept = [tensor for tensor in writer.constants.values() if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    del graph.value_info[:]  # they would state the old types
    return rewritten


class _Writer:
    """Collects the nodes and constants of the rewritten network.

    Args:
        constants: initializers by name.
        clip_first: as in ``use_float_operators``.
    """

    def __init__(self, constants: dict[str, onnx.TensorProto], clip_first: bool) -> None:
        self.constants = dict(constants)
        self.clip_first = clip_first
        self.nodes: list[onnx.NodeProto] = []

    def add(self, node: onnx.NodeProto) -> None:
        """Add what stands in for a node."""
        if node.op_type == "QuantizeLinear":
            self._add_quantize(node)
        elif node.op_type == "DequantizeLinear":
            self._add_dequantize(node)
        elif node.op_type == "QLinearConv":
            self._add_conv(node)
        elif node.op_type == "QGemm":
            self._add_gemm(node)
        elif node.op_type.startswith("QLinear") or node.domain == "com.microsoft":
            raise ValueError(f"{node.op_type} of node {node.name} is not known here.")
        else:
            self.nodes.append(node)

    def _read(self, name: str) -> np.ndarray:
        """Return the value of a constant."""
        return numpy_helper.to_array(self.constants[name])

    def _keep(self, name: str, value: np.ndarray) -> str:
        """Add a constant and return its name."""
        self.constants[name] = numpy_helper.from_array(value, name)
        return name

    def _add_node(
        self, op_type: str, inputs: list[str], output: str, attributes: Iterable = ()
    ) -> str:
        """Add a node and return its output."""
        node = helper.make_node(op_type, inputs, [output], name=output)
        node.attribute.extend(attributes)
        self.nodes.append(node)
        return output

    def _add_rounding(self, values: str, zero_point: str, output: str) -> None:
        """Round values to whole numbers in the range of 8 bits."""
        zero = self._read(zero_point).astype(np.float32)
        low = self._keep(f"{output}_low", np.float32(0) - zero)
        high = self._keep(f"{output}_high", np.float32(LEVELS) - zero)
        if self.clip_first:
            clipped = self._add_node("Clip", [values, low, high], f"{output}_clipped")
            self._add_node("Round", [clipped], output)
        else:
            rounded = self._add_node("Round", [values], f"{output}_rounded")
            self._add_node("Clip", [rounded, low, high], output)

    def _add_weights(self, name: str, scale: np.ndarray, output: str, rank: int) -> str:
        """Add weights (O, ...) that are kept in 8 bits, times a scale (O,) or a number."""
        factor = scale.astype(np.float32).reshape(-1, *[1] * (rank - 1))
        as_float = self._add_node("Cast", [name], f"{output}_weights", [TO_FLOAT])
        factor_name = self._keep(f"{output}_factor", factor)
        return self._add_node("Mul", [as_float, factor_name], f"{output}_kernel")

    def _add_quantize(self, node: onnx.NodeProto) -> None:
        values, scale, zero_point = node.input
        (output,) = node.output
        divided = self._add_node("Div", [values, scale], f"{output}_divided")
        self._add_rounding(divided, zero_point, output)

    def _add_dequantize(self, node: onnx.NodeProto) -> None:
        values, scale, zero_point = node.input
        (output,) = node.output
        if values in self.constants:
            zero = self._read(zero_point).astype(np.float32)
            value = (self._read(values).astype(np.float32) - zero) * self._read(scale)
            self._keep(output, value.astype(np.float32))
        else:
            self._add_node("Mul", [values, scale], output)

    def _add_conv(self, node: onnx.NodeProto) -> None:
        values, scale, _, weights, weight_scale, weight_zero, out_scale, out_zero = node.input[:8]
        (output,) = node.output
        self._check_zero(weight_zero, node)
        factor = self._read(scale) * self._read(weight_scale) / self._read(out_scale)
        rank = len(self.constants[weights].dims)
        inputs = [values, self._add_weights(weights, np.atleast_1d(factor), output, rank)]
        if len(node.input) > 8:
            bias = self._read(node.input[8]).astype(np.float64) * factor
            inputs.append(self._keep(f"{output}_bias", bias.astype(np.float32)))
        sums = self._add_node("Conv", inputs, f"{output}_sums", node.attribute)
        self._add_rounding(sums, out_zero, output)

    def _add_gemm(self, node: onnx.NodeProto) -> None:
        """Add a product of matrices whose result stays float or is rounded."""
        values, scale, _, weights, weight_scale, weight_zero, bias = node.input[:7]
        out_scale = node.input[7] if len(node.input) > 7 else ""
        (output,) = node.output
        self._check_zero(weight_zero, node)
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        factor = np.atleast_1d(self._read(scale) * self._read(weight_scale))
        if out_scale:
            factor = factor / self._read(out_scale)
        kernel = self._read(weights).astype(np.float32)
        is_transposed = bool(attributes.get("transB", 0))
        kernel = kernel * (factor[:, None] if is_transposed else factor[None])
        sums = f"{output}_sums" if out_scale else output
        constants = [self._keep(f"{output}_kernel", kernel.astype(np.float32))]
        if bias:
            shift = self._read(bias).astype(np.float64) * factor
            constants.append(self._keep(f"{output}_bias", shift.astype(np.float32)))
        transposed = helper.make_attribute("transB", int(is_transposed))
        self._add_node("Gemm", [values, *constants], sums, [transposed])
        if out_scale:
            self._add_rounding(sums, node.input[8], output)

    def _check_zero(self, zero_point: str, node: onnx.NodeProto) -> None:
        """Check that weights are symmetric, as ``train.quantize_onnx`` makes them."""
        if self._read(zero_point).any():
            raise ValueError(f"The weights of node {node.name} have a zero point.")
