"""Pickles of the original: read whole, and never executed."""

import collections
import io
import math
import os
import pickle
import random
import resource
import struct
import time

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from official_files import SOURCE, official_pickle
from PIL import Image

from facekit.errors import DataError
from stylegan2 import cli
from stylegan2.exchange import official
from stylegan2.models import checkpoint

GENERATOR = {
    "z_dim": 8,
    "c_dim": 3,
    "w_dim": 8,
    "img_resolution": 16,
    "img_channels": 3,
    "mapping_kwargs": {"num_layers": 2},
    "synthesis_kwargs": {"channel_base": 128, "channel_max": 8},
}
DISCRIMINATOR = {
    "c_dim": 3,
    "img_resolution": 16,
    "img_channels": 3,
    "channel_base": 128,
    "channel_max": 8,
    "mapping_kwargs": {"num_layers": 2},
    "block_kwargs": {"freeze_layers": 2},
    "epilogue_kwargs": {"mbstd_group_size": 2},
}
SMALL = {**GENERATOR, "c_dim": 0, "img_resolution": 8}


def write(folder, data):
    path = folder / "network.pkl"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("architecture", ["orig", "skip", "resnet"])
@pytest.mark.parametrize("c_dim", [0, 3])
def test_networks_are_those_that_were_written(tmp_path, protocol, architecture, c_dim):
    synthesis = {**GENERATOR["synthesis_kwargs"], "architecture": architecture}
    data, networks = official_pickle(
        {**GENERATOR, "c_dim": c_dim, "synthesis_kwargs": synthesis},
        {**DISCRIMINATOR, "c_dim": c_dim, "architecture": architecture},
        protocol,
    )
    path = write(tmp_path, data)
    found = official.read(path)
    assert found.keys() == networks.keys()
    c = torch.eye(3)[[0, 2]] if c_dim else None
    z = torch.randn(2, 8)
    img = networks["G_ema"](z, c, noise_mode="const")
    for name, module in found.items():
        network = official.build(module, path)
        for key, expected in networks[name].state_dict().items():
            assert torch.equal(network.state_dict()[key], expected), key
        if name == "D":
            assert torch.equal(network(img, c), networks["D"](img, c))
        else:
            expected = networks[name](z, c, noise_mode="const")
            assert torch.equal(network(z, c, noise_mode="const"), expected)


def invoke(*words):
    return CliRunner().invoke(cli.main, [str(word) for word in words])


def test_the_command_writes_a_generator_that_generate_reads(tmp_path):
    data, networks = official_pickle(GENERATOR)
    path, output = write(tmp_path, data), tmp_path / "network.safetensors"
    result = invoke("import-official", path, "--network", output)
    assert result.exit_code == 0, result.output
    network, about = checkpoint.load_generator(output)
    assert about.class_names == ["0", "1", "2"] and about.content_box == (0, 0, 16, 16)
    for key, expected in networks["G_ema"].state_dict().items():
        assert torch.equal(network.state_dict()[key], expected)
    result = invoke(
        "generate", "--network", output, "--seeds", 5, "--class", 2, "--outdir", tmp_path / "out"
    )
    assert result.exit_code == 0, result.output
    z = torch.from_numpy(np.random.RandomState(5).randn(1, 8)).float()
    with torch.no_grad():
        img = networks["G_ema"](z, torch.eye(3)[[2]], noise_mode="const")[0]
    expected = (img * 127.5 + 128).clamp(0, 255).byte().permute(1, 2, 0).numpy()
    with Image.open(tmp_path / "out" / "seed0005.png") as image:
        assert np.abs(np.asarray(image).astype(int) - expected).max() <= 1  # rounds of other sizes


def test_the_command_cuts_a_generator(tmp_path):
    kwargs = {**GENERATOR["synthesis_kwargs"], "num_fp16_res": 2, "conv_clamp": 256}
    arguments = {**GENERATOR, "c_dim": 0, "img_resolution": 64, "synthesis_kwargs": kwargs}
    data, networks = official_pickle(arguments)
    path, output = write(tmp_path, data), tmp_path / "network.safetensors"
    result = invoke("import-official", path, "--network", output, "--resolution", 32)
    assert result.exit_code == 0, result.output
    network, about = checkpoint.load_generator(output)
    whole = networks["G_ema"]
    ws = whole.mapping(torch.randn(2, 8))
    x = img = None
    for i, r in enumerate((4, 8, 16, 32)):
        block, at = getattr(whole.synthesis, f"b{r}"), max(2 * i - 1, 0)
        x, img = block(x, img, ws[:, at : at + block.num_conv + 1], "const", force_fp32=True)
    found = network.synthesis(ws[:, :8], noise_mode="const", force_fp32=True)
    torch.testing.assert_close(found, img, rtol=0, atol=1e-6)
    lows = [getattr(network.synthesis, f"b{r}").use_fp16 for r in (8, 16, 32)]
    assert lows == [False, False, True]  # 32 and 64 px were, of the whole
    assert about.content_box == (0, 0, 32, 32)
    assert about.lineage[0]["taken"] == ["generator", "cut from 64 to 32 px"]
    assert about.lineage[0]["file"] == "network.pkl"


@pytest.mark.parametrize(
    ("architecture", "resolution", "text"),
    [
        ("skip", 12, "12 px: a network of 32 px can be cut to 8, 16, 32 px"),
        ("skip", 64, "64 px: a network of 32 px can be cut to 8, 16, 32 px"),
        ("resnet", 16, "a synthesis network of architecture resnet cannot be cut from 32 to 16"),
    ],
)
def test_what_cannot_be_cut_is_told(tmp_path, architecture, resolution, text):
    kwargs = {**GENERATOR["synthesis_kwargs"], "architecture": architecture}
    data, _ = official_pickle({**GENERATOR, "img_resolution": 32, "synthesis_kwargs": kwargs})
    output = tmp_path / "network.safetensors"
    words = ("--network", output, "--resolution", resolution)
    result = invoke("import-official", write(tmp_path, data), *words)
    assert result.exit_code == 1 and text in result.stderr and not output.exists()


def test_a_gray_network_draws_gray_images(tmp_path):
    data, _ = official_pickle({**SMALL, "img_channels": 1})
    output = tmp_path / "network.safetensors"
    assert invoke("import-official", write(tmp_path, data), "--network", output).exit_code == 0
    result = invoke("generate", "--network", output, "--seeds", "0-3", "--outdir", tmp_path)
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "seed0003.png") as image:
        pixels = np.asarray(image)
    assert (pixels == pixels[:, :, :1]).all() and pixels.std() > 0


# What is refused.


class Call:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (Call(os.system, "touch executed"), "posix.system"),
        (Call(eval, "open('executed', 'w')"), "builtins.eval"),
        (Call(getattr, "x", "y"), "builtins.getattr"),
        (Call(__import__, "os"), "builtins.__import__"),
        (Call(torch.load, "x"), "torch.serialization.load"),
        (Call(collections.defaultdict, list), "collections.defaultdict"),
        (Call(io.BytesIO, b""), "_io.BytesIO"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_other_names_are_refused(tmp_path, monkeypatch, thing, name, protocol):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, pickle.dumps(thing, protocol))
    name = name.replace("builtins", "__builtin__" if protocol < 3 else "builtins")
    name = name.replace("_io", "io") if protocol < 3 else name
    with pytest.raises(DataError, match=f"refused: it asks for the name {name.lstrip('_')}|{name}"):
        official.read(path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "data",
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n(tR.",  # too few arguments
        b"ctorch.storage\n_load_from_bytes\n(C\x03abctR.",
        b"c" + b"torch_utils.persistence\n_reconstruct_persistent_obj\n" + b"(}tR.",
        b"ctorch\nFloatStorage\n)R.",
        b"}c" + b"collections\nOrderedDict\n" + b"}b.",  # attributes for a name
        b"]" * 100_000 + b"a" * 99_999 + b".",
        b"(" * 100_000 + b"t" * 100_000 + b".",
        b"\x80\x04r\xff\xff\xff\xff.",  # a memo of four billion entries
        b"\x8b\xff\xff\xff\x7f1",  # a number of two billion bytes
        b"\x8e" + struct.pack("<Q", 2**62) + b"x",
        b"I" + b"9" * 100_000 + b"\n.",
        b"",
        b".",
    ],
)
def test_broken_and_greedy_files_are_refused_at_once(tmp_path, data):
    path = write(tmp_path, data)
    start = time.monotonic()
    with pytest.raises(DataError, match=r"network\.pkl: (not a pickle of the original|refused)"):
        official.read(path)
    assert time.monotonic() - start < 20  # a hang, not a matter of speed


def test_modules_that_hold_themselves_end():
    thing = official._Object("Generator", {"_init_kwargs": {}, "_modules": {}})
    thing.state["_modules"]["a"] = thing
    thing.state["_modules"]["b"] = thing
    with pytest.raises((ValueError, RecursionError)):
        official._module(thing, 1000)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"z_dim": 9}, "tensors mapping.fc0.weight do not fit"),
        ({"img_resolution": 2**40}, "img_resolution = .* is too large"),
        ({"mapping_kwargs": {"num_layers": 10**6}}, "num_layers = 1000000 is too large"),
        ({"synthesis_kwargs": {"colour": 1}}, "unexpected keyword argument 'colour'"),
        ({"img_resolution": 12}, "12"),
        ({"img_resolution": 2**20}, "img_resolution = 1048576 is too large"),
        ({"img_resolution": 2.0}, "img_resolution is a float, expected a number"),
        ({"synthesis_kwargs": {"num_fp16_res": -(2**63)}}, "num_fp16_res = .* is too small"),
        ({"synthesis_kwargs": {"num_fp16_res": -(10**5000)}}, "num_fp16_res is too small"),
        ({"w_dim": 0}, "w_dim = 0 is too small"),
        ({"z_dim": -1}, "z_dim = -1 is too small"),
        ({"synthesis_kwargs": {"channel_max": 0}}, "channel_max = 0 is too small"),
        ({"synthesis_kwargs": {"channel_base": 1}}, "leave a layer without channels"),
        ({"synthesis_kwargs": {"conv_clamp": "256"}}, "conv_clamp is a str, expected a number"),
        ({"synthesis_kwargs": {"conv_clamp": True}}, "conv_clamp is a bool, expected a number"),
        ({"synthesis_kwargs": {"resample_filter": [math.inf]}}, "inf is no finite number"),
        ({"mapping_kwargs": {"lr_multiplier": math.nan}}, "lr_multiplier = nan is no finite"),
        ({"mapping_kwargs": {"lr_multiplier": math.inf}}, "lr_multiplier = inf is no finite"),
        ({"mapping_kwargs": {"num_layers": 0}}, "num_layers = 0 is too small"),
        ({"mapping_kwargs": {"activation": "x" * 10**6}}, "activation is a str"),
        ({"mapping_kwargs": {"x" * 10**6: 1}}, "unexpected keyword argument"),
    ],
)
def test_arguments_that_do_not_fit_the_tensors_are_refused(tmp_path, changes, text):
    data, _ = official_pickle(SMALL)
    path = write(tmp_path, data)
    module = official.read(path)["G_ema"]
    module.arguments = {**module.arguments, **changes}
    with pytest.raises(DataError, match=text):
        official.build(module, path)


DOUBLED = b"N" + b"2\x86" * 60  # pairs of pairs, 2 ** 60 of them: for ever, if it were compared


def storage(*parts, num=1):
    """Return a storage in the old format, of pickles that are given."""
    pid = b"(\x8c\x07storagectorch\nFloatStorage\n\x8c\x010\x8c\x03cpuK\x01tQ"
    magic = b"\x8a\x0a" + official.MAGIC.to_bytes(10, "little")
    usual = [magic, b"M\xe9\x03", b"}\x8c\x0dlittle_endian\x88s", pid, b"]\x8c\x010a"]
    for number, part in parts:
        usual[number] = part
    return b"".join(part + b"." for part in usual) + struct.pack("<qf", 1, 0.0) * num


def loaded(data):
    return b"ctorch.storage\n_load_from_bytes\nB" + struct.pack("<I", len(data)) + data + b"\x85R"


def test_a_storage_is_read():
    assert official._load_storage(storage()).tolist() == [0.0]


@pytest.mark.parametrize(
    "data",
    [
        loaded(storage((4, DOUBLED))) + b".",
        loaded(storage((4, b"]" + DOUBLED + b"a"))) + b".",
        loaded(storage((0, DOUBLED))) + b".",
        loaded(storage((4, loaded(storage())))) + b".",  # a storage within a storage
        # A list of 50,000 pairs, that 100,000 calls make a dict or a set of.
        b"](" + b"K\x01K\x02\x86" * 50_000 + b"eq\x000"
        + b"ccollections\nOrderedDict\nh\x00\x85R" * 100_000 + b".",
        b"](" + b"K\x01" * 50_000 + b"eq\x000" + b"cbuiltins\nset\nh\x00\x85R" * 100_000 + b".",
        # A storage of 400 KB, read 100,000 times.
        b"B" + struct.pack("<I", 400_000) + b"\0" * 400_000 + b"q\x000"
        + b"ctorch.storage\n_load_from_bytes\nh\x00\x85R" * 100_000 + b".",
        # Shapes of 100,000 dimensions.
        b"(" + b"K\x01" * 100_000 + b"tq\x000"
        + b"ctorch._utils\n_rebuild_tensor_v2\n(NK\x00h\x00h\x00tR0" * 10_000 + b".",
        b"}" * 3_000_000 + b".",
        b"\x8f" * 3_000_000 + b".",
    ],
    ids=range(10),
)  # fmt: skip
def test_a_small_file_takes_little_time_and_memory(tmp_path, data):
    path = write(tmp_path, data)
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=r"network\.pkl: (not a pickle of the original|refused)"):
        official.read(path)
    assert time.monotonic() - start < 20  # a hang, not a matter of speed
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20  # KiB


def test_tensors_and_names_have_an_end():
    def module(**state):
        return official._Object("Generator", {"_init_kwargs": {}, **state})

    shared = {f"x{i}": torch.zeros(1000) for i in range(100)}
    good = module(_modules={"a": module(_parameters=shared)})
    assert len(official._module(good, 400_000).tensors) == 100
    with pytest.raises(ValueError, match="tensors that hold more than the file"):
        official._module(good, 399_999)
    long = module(_modules={"x" * 10_000: module(_parameters=shared)})
    with pytest.raises(ValueError, match="names without an end"):
        official._module(long, 10**9)
    many = module(_parameters=dict.fromkeys(map(str, range(1000))))
    with pytest.raises(ValueError, match="more than 100000 parts"):
        official._module(module(_modules=dict.fromkeys(map(str, range(1000)), many)), 10**9)


def nested(depth=200):
    """Return a list whose text would have 2 ** depth parts."""
    thing = []
    for _ in range(depth):
        thing = [thing, thing]
    return thing


def test_values_without_an_end_are_not_told(tmp_path):
    data, _ = official_pickle(SMALL)
    path = write(tmp_path, data)
    module = official.read(path)["G_ema"]
    module.arguments = {**module.arguments, "synthesis_kwargs": {"architecture": nested()}}
    with pytest.raises(DataError, match="Generator: architecture is a list"):
        official.build(module, path)
    meta = {"type": nested(), "version": 6, "class_name": "Generator", "state": {}}
    with pytest.raises(official.Refused, match="persistence other than of classes in version 6"):
        official._make(official.RECONSTRUCT, (meta,))


def test_a_tensor_beyond_its_storage_is_refused():
    storage = torch.arange(6.0)
    assert official._tensor(storage, 1, (2, 2), (2, 1)).tolist() == [[1, 2], [3, 4]]
    for offset, size, stride in [
        (0, (7,), (1,)),
        (3, (2, 2), (2, 1)),
        (-1, (2,), (1,)),
        (0, (2,), (-1,)),
        (0, (2**40, 2**40), (0, 0)),
        (0, (2,), (1, 1)),
    ]:
        with pytest.raises(ValueError, match="tensor"):
            official._tensor(storage, offset, size, stride)


HOSTILE = [
    b"cos\nsystem\n(X\x0e\x00\x00\x00touch executed\x85R",
    b"\x8c\x08builtins\x8c\x04eval\x93\x8c\x15open('executed', 'w')\x85R",
    b"cbuiltins\nexec\n(X\x15\x00\x00\x00open('executed', 'w')tR",
    b"(S'touch executed'\nios\nsystem\n",  # INST
    b"\x82\x01",  # EXT1
    b"Pexecuted\n",  # PERSID
    b"0",
    b"(",
    b"R",
    b"b",
    b"\x81",
]


def mutate(data, rng):
    """Return a pickle with flipped bits, spliced opcodes, cuts and hostile calls."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        if not data:
            break
        at = rng.randrange(len(data))
        kind = rng.randrange(5)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at] = rng.randrange(256)
        elif kind == 2:
            other, size = rng.randrange(len(data)), rng.randrange(200)
            data[at:at] = data[other : other + size]
        elif kind == 3:
            del data[at : at + rng.randrange(50)]
        else:
            data[at:at] = rng.choice(HOSTILE)
    return bytes(data)


def check_mutants(num, seed, folder):
    """Read and build so many mutants; return how many still gave networks."""
    data, _ = official_pickle(SMALL)
    # Most of a file is numbers and names: begin half of the time with its opcodes alone.
    small = pickle.dumps({"G_ema": {"a": [1, (2.0, "x")]}}, 4)
    rng = random.Random(seed)
    good = 0
    for _ in range(num):
        path = write(folder, mutate(small if rng.random() < 0.3 else data, rng))
        start = time.monotonic()
        try:
            official.read_generator(path)
            good += 1
        except DataError as error:
            assert len(str(error)) < 2000 and "\n" not in str(error)
        assert time.monotonic() - start < 20  # a hang
    assert not list(folder.rglob("executed"))
    return good


def test_mutated_pickles_end_in_a_network_or_one_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert 0 < check_mutants(300, 0, tmp_path) < 300


@pytest.mark.slow
def test_twenty_thousand_mutated_pickles(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert 0 < check_mutants(20_000, 1, tmp_path) < 20_000


def test_the_source_in_a_pickle_is_there_and_ignored(tmp_path):
    data, _ = official_pickle(SMALL)
    assert SOURCE.encode() in data
    official.read(write(tmp_path, data))


def test_the_command_says_what_was_refused(tmp_path):
    path = write(tmp_path, pickle.dumps(Call(eval, "1")))
    result = invoke("import-official", path, "--network", tmp_path / "out.safetensors")
    assert result.exit_code == 1
    assert "refused: it asks for the name builtins.eval" in result.stderr
    assert not (tmp_path / "out.safetensors").exists()
