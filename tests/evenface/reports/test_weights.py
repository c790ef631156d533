"""Public reports of weights that other programs wrote, or that a training left broken.

docs/reliability.md lists them; each test names its report (repository and number on GitHub).
"""

import warnings

import pytest
import safetensors.torch
import torch
from generators import make_generator
from reported import run
from safetensors import safe_open

from facekit.compute import state_dicts
from facekit.errors import DataError
from stylegan2.cli import main as stylegan2
from stylegan2.models import checkpoint

STATE = {
    "conv1.weight": torch.arange(6.0).reshape(2, 3),
    "layer1.0.bias": torch.ones(4),
    "bn1.running_var": torch.ones(2),
}
WANTED = {name: torch.zeros_like(tensor) for name, tensor in STATE.items()}


def load(path, thing):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about kinds of tensors that will go
        torch.save(thing, path)
        return state_dicts.of_network(state_dicts.read(path), WANTED, str(path), "small")


def renamed(change):
    return {change(name): tensor for name, tensor in STATE.items()}


def under(prefix):
    return renamed(lambda name: prefix + name)


def inside(part):
    return renamed(lambda name: name.replace("layer1.", f"layer1.{part}."))


@pytest.mark.parametrize(
    "thing",
    [
        inside("_checkpoint_wrapped_module"),  # pytorch/pytorch#77224
        inside("_fsdp_wrapped_module"),  # pytorch/pytorch#117446
        {
            "state_dict": renamed(
                lambda name: f"model._orig_mod.{name}".replace("r1.", "r1._orig_mod.")
            )
        },
        inside("module"),  # pytorch/examples#144: only the features are parallel
        under("_forward_module."),  # ray-project/ray#43594
        under("visual.trunk."),  # open_clip around timm's models
        under("timm_model."),  # transformers
        {
            "student": under("module.backbone."),
            "teacher": under("backbone."),
        },  # facebookresearch/dino#65
        under("my_cnn."),  # an attribute of a module of Lightning, by any name
        (STATE, {"lr": 0.1}),  # a tuple of states
    ],
    ids=lambda thing: next(iter(thing)) if isinstance(thing, dict) else "tuple",
)
def test_names_that_programs_wrap_are_recognised(tmp_path, thing):
    found = load(tmp_path / "w.pth", thing)
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[name], STATE[name]) for name in found)


def test_weights_that_are_there_twice_by_unknown_names_are_not_guessed(tmp_path):
    with pytest.raises(DataError, match=r"several, under left and right; keep one of them"):
        load(tmp_path / "w.pth", {**under("left."), **under("right.")})


def test_inner_names_of_the_network_itself_are_left(tmp_path):
    wanted = {"a.module.weight": torch.zeros(2)}
    found = state_dicts.of_network({"a.module.weight": torch.ones(2)}, wanted, "w", "small")
    assert found["a.module.weight"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (torch.full((2, 3), torch.nan), "not finite"),  # rinongal/StyleGAN-nada#35
        (torch.full((2, 3), -torch.inf), "not finite"),
        (torch.ones(2, 3, dtype=torch.int8), "type int8"),
        (torch.ones(2, 3).to_sparse(), "sparse_coo"),
        (torch.ones(2, 3) + 1j, "complex64"),
    ],
)
def test_numbers_that_no_network_learns_are_refused(tmp_path, tensor, words):
    with pytest.raises(DataError) as caught:
        load(tmp_path / "w.pth", {**STATE, "conv1.weight": tensor})
    assert "w.pth: conv1.weight has numbers" in str(caught.value) and words in str(caught.value)


@pytest.fixture
def generator(tmp_path):
    """Return a function that writes a generator with tensors changed, and draws from it."""
    path = tmp_path / "network.safetensors"
    checkpoint.save_generator(*make_generator(), path)

    def draw(change):
        with safe_open(path, "pt") as file:
            about = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        safetensors.torch.save_file({n: change(x) for n, x in tensors.items()}, path, about)
        command = ["generate", "--network", path, "--seeds", 0, "--threads", 1]
        return run(stylegan2, *command, "--outdir", tmp_path / "drawn")

    return draw


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_generator_that_went_astray_draws_no_black_pictures(generator, value, tmp_path):
    """rinongal/StyleGAN-nada#35, LTH14/mar#80."""
    code, line = generator(lambda x: x * value)
    assert code == 1 and "network.safetensors: " in line and "not finite" in line
    assert not (tmp_path / "drawn/seed0000.png").exists()


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_a_generator_in_half_precision_draws(generator, kind, tmp_path):
    """AgileRL/AgileRL#598, pkuliyi2015/sd-webui-stablesr#40: Float and Half do not mix."""
    code, line = generator(lambda x: x.to(kind))
    assert code == 0, line
    assert (tmp_path / "drawn/seed0000.png").exists()


def test_a_generator_of_one_byte_a_number_is_refused(generator):
    code, line = generator(lambda x: x.to(torch.float8_e4m3fn))
    assert code == 1 and "type float8_e4m3fn, expected float32" in line


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html><title>Quota exceeded</title>", "a web page: the download failed"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "`git lfs pull`"),
        (b"PK\3\4" + bytes(40), "a ZIP archive"),
        (b"\x80\x04\x95" + bytes(40), "a pickle"),
        (b"\x89HDF\r\n\x1a\n" + bytes(40), "an HDF5 file"),
    ],
)
def test_what_is_no_generator_is_said_in_words(tmp_path, data, words):
    """pbaylies/stylegan-encoder#41, eladrich/pixel2style2pixel#17: a page in place of a network."""
    (tmp_path / "network.pkl").write_bytes(data)
    for command in (
        ["generate", "--network", tmp_path / "network.pkl", "--seeds", 0, "--outdir", tmp_path],
        ["import-official", tmp_path / "network.pkl", "--network", tmp_path / "n.safetensors"],
    ):
        code, line = run(stylegan2, *command)
        assert code == 1 and "network.pkl: not a " in line
        assert words in line or (command[0] == "import-official" and words == "a pickle"), line
