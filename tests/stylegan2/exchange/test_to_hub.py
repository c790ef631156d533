"""A generator put into a repository of the Hugging Face Hub, one on this machine."""

import fake_hub
import pytest
from click.testing import CliRunner
from generators import make_generator
from huggingface_hub import constants

from stylegan2 import cli
from stylegan2.models import checkpoint


@pytest.fixture
def hub(monkeypatch):
    with fake_hub.running() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        monkeypatch.setenv("HF_TOKEN", "hf_nobody")
        yield hub


@pytest.fixture
def network(tmp_path):
    generator, about = make_generator(c_dim=3)
    path = tmp_path / "network-final.safetensors"
    checkpoint.save_generator(generator, about, path)
    return path


def export(network, *more):
    out = network.parent / "G.safetensors"
    words = ["export", "--network", network, "--state-dict", out, *more]
    return CliRunner().invoke(cli.main, list(map(str, words)))


def test_network_exports_and_card_lie_in_a_private_repository(hub, network):
    done = export(network, "--to-hub", "me/faces")
    assert done.exit_code == 0, done.output
    assert hub.private == {"me/faces": True}
    files = hub.files["me/faces"]
    assert set(files) == {"README.md", "network.safetensors", "G.safetensors", "G.json"}
    assert files["network.safetensors"] == network.read_bytes()
    card = files["README.md"].decode()
    assert card.startswith("---\n") and "library_name: evenface" in card
    assert "# Generator of faces, 16x16 px" in card
    _, about = checkpoint.load_generator(network)
    assert all(name in card for name in about.class_names)


def test_a_repository_that_is_there_gets_another_commit(hub, network):
    for _ in range(2):
        done = export(network, "--to-hub", "me/faces", "--public")
        assert done.exit_code == 0, done.output
    assert hub.private == {"me/faces": False}


def test_nothing_goes_there_unasked(hub, network):
    assert export(network).exit_code == 0
    assert hub.files == {}


def test_who_may_not_write_is_told_in_a_line(hub, network):
    hub.takes = False
    done = export(network, "--to-hub", "me/faces")
    assert done.exit_code == 1
    assert "--to-hub me/faces: nothing was written there" in done.output
    assert "Traceback" not in done.output
