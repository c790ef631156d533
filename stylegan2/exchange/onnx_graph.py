"""Mapping and synthesis network as ONNX graphs, written node by node.

No tracing: the graphs have the original's tensor names, only operators of ONNX itself, and any
batch. Gains that do not depend on the input are folded into the weights. They compute in float32
throughout and take the constant noise.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from stylegan2.models.layers import EPSILON as NORM_EPSILON
from stylegan2.models.layers import Conv2dLayer, FullyConnectedLayer
from stylegan2.models.mapping import MappingNetwork, Sketch
from stylegan2.models.synthesis import SynthesisBlock, SynthesisLayer, SynthesisNetwork, ToRGBLayer
from stylegan2.ops.bias_act import ACTIVATIONS
from stylegan2.ops.modulated_conv2d import EPSILON
from stylegan2.ops.upfirdn2d import up_padding

OPSET, IR_VERSION = 17, 8  # that readers of the last years know
OPERATORS = {
    "relu": ("Relu", {}),
    "lrelu": ("LeakyRelu", {"alpha": ACTIVATIONS["lrelu"].alpha}),
    "tanh": ("Tanh", {}),
    "sigmoid": ("Sigmoid", {}),
    "elu": ("Elu", {}),
    "selu": ("Selu", {}),
    "softplus": ("Softplus", {}),
}


class Graph:
    """Nodes and constants so far. Values are known by their names."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: Tensor | np.ndarray | float) -> str:
        """Add a constant, float32."""
        value = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
        self.constants[name] = numpy_helper.from_array(np.array(value, np.float32), name)
        return name

    def index(self, name: str, value: int | Sequence[int]) -> str:
        """Add a constant, int64."""
        self.constants[name] = numpy_helper.from_array(np.array(value, np.int64), name)
        return name

    def node(self, operator: str, name: str, *inputs: str, **attributes) -> str:
        """Add a node; its result has the node's name."""
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name, **attributes))
        return name

    def scale(self, x: str, factor: float) -> str:
        """Return x times a number."""
        if factor == 1:
            return x
        return self.node("Mul", f"{x}.scaled", x, self.constant(f"{x}.factor", factor))

    def activate(self, x: str, act: str, gain: float, clamp: float | None) -> str:
        """Return clamp(gain * act(x))."""
        if act == "swish":
            x = self.node("Mul", f"{x}.swish", x, self.node("Sigmoid", f"{x}.sigmoid", x))
        elif act != "linear":
            operator, attributes = OPERATORS[act]
            x = self.node(operator, f"{x}.{act}", x, **attributes)
        x = self.scale(x, gain)
        if clamp is None:
            return x
        limits = [self.constant(f"{x}.{name}", s * clamp) for name, s in (("min", -1), ("max", 1))]
        return self.node("Clip", f"{x}.clip", x, *limits)

    def normalize(self, x: str) -> str:
        """Return x scaled to a mean square of 1 along its features."""
        squares = self.node("Mul", f"{x}.squares", x, x)
        mean = self.node("ReduceMean", f"{x}.power", squares, axes=[1])
        mean = self.node("Add", f"{x}.sum", mean, self.constant("norm.epsilon", NORM_EPSILON))
        return self.node("Div", f"{x}.normal", x, self.node("Sqrt", f"{x}.root", mean))

    def fully_connected(
        self, name: str, layer: FullyConnectedLayer, x: str, gain: float = 1
    ) -> str:
        """Return a linear layer's result times gain, [N, out]; it has a bias."""
        assert layer.bias is not None
        w = self.constant(f"{name}.weight", layer.weight * (layer.weight_gain * gain))
        b = self.constant(f"{name}.bias", layer.bias * (layer.bias_gain * gain))
        return self.node("Gemm", name, x, w, b, transB=1)

    def filter(
        self, name: str, x: str, f: Tensor, channels: int, pad: Sequence[int], gain: float
    ) -> str:
        """Return gain times x filtered, true convolution; pad (before, after) along both axes."""
        taps = np.flip(kernel(f, channels), (2, 3)) * gain
        if min(pad) < 0:
            x, pad = self.pad(f"{name}.pad", x, pad), (0, 0)
        pads = [pad[0], pad[0], pad[1], pad[1]]
        return self.node(
            "Conv", name, x, self.constant(f"{name}.filter", taps), group=channels, pads=pads
        )

    def upsample(self, name: str, x: str, f: Tensor, channels: int) -> str:
        """Return x of twice the size, its mean kept."""
        taps = f.shape[-1]
        before, after = up_padding(taps, 2)
        cut = [taps - 1 - before, taps - 2 - after]
        pads = [cut[0], cut[0], cut[1], cut[1]] if min(cut) >= 0 else [0] * 4
        weight = self.constant(f"{name}.filter", kernel(f, channels) * 4)
        options = {"group": channels, "strides": [2, 2], "pads": pads}
        y = self.node("ConvTranspose", name, x, weight, **options)
        return y if min(cut) >= 0 else self.pad(f"{name}.pad", y, [-side for side in cut])

    def pad(self, name: str, x: str, pad: Sequence[int]) -> str:
        """Return x with zeros before and after along both axes; negative numbers cut off."""
        pads = [0, 0, pad[0], pad[0], 0, 0, pad[1], pad[1]]
        return self.node("Pad", name, x, self.index(f"{name}.pads", pads))

    def modulated(
        self,
        name: str,
        layer: SynthesisLayer | ToRGBLayer,
        x: str,
        w: str,
        up: int,
        demodulate: bool,
        style_gain: float = 1,
    ) -> str:
        """Return the modulated convolution of x, without noise and bias."""
        styles = self.fully_connected(f"{name}.affine", layer.affine, w, style_gain)
        weight = layer.weight.detach()
        spatial = self.index("spatial", [0, -1, 1, 1])  # [N, C] -> [N, C, 1, 1]
        scale = self.node("Reshape", f"{name}.styles", styles, spatial)
        x = self.node("Mul", f"{name}.modulated", x, scale)
        if up == 1:
            pads = [layer.padding] * 4
            x = self.node("Conv", name, x, self.constant(f"{name}.weight", weight), pads=pads)
        else:
            assert isinstance(layer, SynthesisLayer)
            transposed = self.constant(f"{name}.weight", weight.transpose(0, 1))
            x = self.node("ConvTranspose", name, x, transposed, strides=[up, up])
            before, after = up_padding(layer.resample_filter.shape[-1], up)
            taps = weight.shape[-1]
            pad = (layer.padding + before - taps + 1, layer.padding + after - taps + up)
            f = layer.resample_filter
            x = self.filter(f"{name}.resampled", x, f, len(weight), pad, up**2)
        if demodulate:
            squares = self.node("Mul", f"{name}.squares", styles, styles)
            sums = self.constant(f"{name}.power", weight.square().sum(dim=[2, 3]))
            epsilon = self.constant("epsilon", EPSILON)
            power = self.node("Gemm", f"{name}.norms", squares, sums, epsilon, transB=1)
            norm = self.node("Sqrt", f"{name}.root", power)
            norm = self.node("Reshape", f"{name}.norm", norm, spatial)
            x = self.node("Div", f"{name}.demodulated", x, norm)
        return x

    def bias(self, name: str, x: str, b: Tensor) -> str:
        """Return x plus a bias, [C]."""
        bias = self.constant(f"{name}.bias", b.reshape(1, -1, 1, 1))
        return self.node("Add", f"{name}.biased", x, bias)

    def synthesis_layer(
        self, name: str, layer: SynthesisLayer, x: str, w: str, gain: float = 1
    ) -> str:
        """Return what a SynthesisLayer returns with the constant noise."""
        x = self.modulated(name, layer, x, w, layer.up, demodulate=True)
        if layer.use_noise:
            noise = layer.noise_const * layer.noise_strength
            x = self.node("Add", f"{name}.noisy", x, self.constant(f"{name}.noise", noise))
        x = self.bias(name, x, layer.bias)
        clamp = None if layer.conv_clamp is None else layer.conv_clamp * gain
        return self.activate(x, layer.activation, ACTIVATIONS[layer.activation].gain * gain, clamp)

    def to_rgb(self, name: str, layer: ToRGBLayer, x: str, w: str) -> str:
        """Return what a ToRGBLayer returns."""
        x = self.modulated(name, layer, x, w, 1, demodulate=False, style_gain=layer.weight_gain)
        return self.activate(self.bias(name, x, layer.bias), "linear", 1, layer.conv_clamp)

    def skip(self, name: str, layer: Conv2dLayer, x: str, gain: float) -> str:
        """Return what the skip of a residual block returns."""
        weight = layer.weight * (layer.weight_gain * gain)
        x = self.node("Conv", name, x, self.constant(f"{name}.weight", weight))
        return self.upsample(f"{name}.up", x, layer.resample_filter, len(weight))

    def block(
        self, name: str, block: SynthesisBlock, x: str, img: str, ws: Sequence[str], channels: int
    ) -> tuple[str, str]:
        """Return feature maps and image (empty text for none) of a block."""
        styles = iter(ws)
        if block.is_first:
            x = self.constant(f"{name}.const", block.const[None])
            x = self.synthesis_layer(f"{name}.conv1", block.conv1, x, next(styles))
        else:
            is_residual = block.architecture == "resnet"
            gain = 0.5**0.5 if is_residual else 1
            y = self.synthesis_layer(f"{name}.conv0", block.conv0, x, next(styles))
            y = self.synthesis_layer(f"{name}.conv1", block.conv1, y, next(styles), gain)
            if is_residual:
                shortcut = self.skip(f"{name}.skip", block.skip, x, gain)
                y = self.node("Add", f"{name}.sum", shortcut, y)
            x = y
        if img:
            img = self.upsample(f"{name}.img", img, block.resample_filter, channels)
        if block.num_torgb:
            y = self.to_rgb(f"{name}.torgb", block.torgb, x, next(styles))
            img = self.node("Add", f"{name}.img.sum", img, y) if img else y
        if block.has_sketch:
            side = block.resolution
            first = self.index(f"{name}.sketch.first", [-channels * side**2])
            last, axis = self.index("end", [2**31]), self.index("features", [1])
            sketch = self.node("Slice", f"{name}.sketch.pixels", ws[-1], first, last, axis)
            shape = self.index(f"{name}.sketch.shape", [-1, channels, side, side])
            sketch = self.node("Reshape", f"{name}.sketch", sketch, shape)
            img = self.node("Add", f"{name}.img.sketch", img, sketch)
            layer = block.fromsketch
            weight = self.constant(f"{name}.fromsketch.weight", layer.weight * layer.weight_gain)
            y = self.node("Conv", f"{name}.fromsketch", sketch, weight)
            x = self.node("Add", f"{name}.sketched", x, y)
        return x, img

    def sketch(self, sketch: Sketch) -> str:
        """Return what a Sketch returns of z and, if it has classes, c."""
        parts = {"mean": sketch.mean, "deviation": sketch.deviation}
        of = {key: self.constant(f"sketch.{key}", value) for key, value in parts.items()}
        if sketch.c_dim:
            of = {key: self.node("MatMul", f"{x}.own", "c", x) for key, x in of.items()}
        places = self.node("Mul", "sketch.places", "z", of["deviation"])
        components = self.constant("sketch.components", sketch.components)
        offsets = self.node("MatMul", "sketch.offsets", places, components)
        return self.node("Add", "sketch", of["mean"], offsets)

    def model(
        self, name: str, inputs: dict, outputs: dict, metadata: dict[str, str]
    ) -> onnx.ModelProto:
        """Return the graph as a checked model; shapes of inputs and outputs by their names."""
        values = [
            [helper.make_tensor_value_info(key, TensorProto.FLOAT, x) for key, x in ends.items()]
            for ends in (inputs, outputs)
        ]
        model = helper.make_model(
            helper.make_graph(
                self.nodes, name, values[0], values[1], list(self.constants.values())
            ),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="evenface",
        )
        helper.set_model_props(model, metadata)
        onnx.checker.check_model(model, full_check=True)
        return model


def kernel(f: Tensor, channels: int) -> np.ndarray:
    """Return a filter for each channel, [channels, 1, taps, taps]."""
    taps = f.detach().cpu().numpy()
    taps = np.outer(taps, taps) if taps.ndim == 1 else taps
    return np.broadcast_to(taps, (channels, 1, *taps.shape))


def synthesis_model(network: SynthesisNetwork, metadata: dict[str, str]) -> onnx.ModelProto:
    """Return the model: `ws`, float32 [N, num_ws, w_dim] -> `img`, float32 [N, C, R, R].

    Args:
        network: whose weights are copied.
        metadata: texts by name that the file carries.
    """
    graph = Graph()
    styles = []
    for i in range(network.num_ws):
        index = graph.index(f"layer{i}", i)
        styles.append(graph.node("Gather", f"w{i}", "ws", index, axis=1))
    x = img = ""
    start = 0
    for resolution in network.block_resolutions:
        block = getattr(network, f"b{resolution}")
        ws = styles[start : start + block.num_conv + block.num_torgb]
        x, img = graph.block(f"b{resolution}", block, x, img, ws, network.img_channels)
        start += block.num_conv
    graph.node("Identity", "img", img)

    side = network.img_resolution
    return graph.model(
        "synthesis",
        {"ws": ["batch", network.num_ws, network.w_dim]},
        {"img": ["batch", network.img_channels, side, side]},
        metadata,
    )


def mapping_model(network: MappingNetwork, metadata: dict[str, str]) -> onnx.ModelProto:
    """Return the model: `z` [N, z_dim], `c` [N, c_dim] (if any), `psi` [] -> `ws`; all float32.

    Args:
        network: whose weights are copied; psi is left out if it keeps no mean style.
        metadata: texts by name that the file carries.
    """
    assert network.num_ws is not None
    graph = Graph()
    inputs: dict[str, list] = {"z": ["batch", network.z_dim]}
    x = graph.normalize("z")
    if network.c_dim:
        inputs["c"] = ["batch", network.c_dim]
        y = graph.normalize(graph.fully_connected("embed", network.embed, "c"))
        x = graph.node("Concat", "inputs", x, y, axis=1)
    for i in range(network.num_layers):
        layer = getattr(network, f"fc{i}")
        x = graph.fully_connected(f"fc{i}", layer, x)
        x = graph.activate(x, layer.activation, ACTIVATIONS[layer.activation].gain, None)
    if hasattr(network, "sketch"):
        x = graph.node("Concat", "styles", x, graph.sketch(network.sketch), axis=1)
    if hasattr(network, "w_avg"):
        inputs["psi"] = []
        mean = graph.constant("w_avg", network.w_avg)
        x = graph.node("Sub", "difference", x, mean)
        x = graph.node("Add", "truncated", graph.node("Mul", "share", x, "psi"), mean)
    x = graph.node("Unsqueeze", "w", x, graph.index("layer", [1]))
    graph.node("Tile", "ws", x, graph.index("repeats", [1, network.num_ws, 1]))
    return graph.model(
        "mapping", inputs, {"ws": ["batch", network.num_ws, network.w_dim]}, metadata
    )
