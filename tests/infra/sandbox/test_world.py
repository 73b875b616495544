"""An image is a Dockerfile of this checkout, or one below the state folder."""

import socket
import subprocess
import sys

import pytest

from infra.sandbox.world import UnknownImage, World, free_port, read_dockerfile

REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"


def test_our_images_are_this_checkout(tmp_path):
    command, _ = World(tmp_path).image_command(f"{REGISTRY}/perennial-training:abc")

    assert command[:2] == [sys.executable, "-m"]


def test_an_unknown_repository_is_named(tmp_path):
    with pytest.raises(UnknownImage, match="'nginx' does not exist"):
        World(tmp_path).image_command("nginx:latest")


def test_a_dockerfile_gives_its_last_stage(tmp_path):
    path = tmp_path / "Dockerfile"
    path.write_text(
        'FROM a AS build\nENV HIDDEN=1\nENTRYPOINT ["no"]\n'
        'FROM b\nENV A=1 \\\n    B="two words"\nENTRYPOINT ["python", "-m", "x"]\n'
    )

    assert read_dockerfile(path) == (["python", "-m", "x"], {"A": "1", "B": "two words"})


def test_documents_are_kept(tmp_path):
    World(tmp_path).save("addresses", {"a": 1})

    assert World(tmp_path).load("addresses") == {"a": 1}
    assert World(tmp_path).load("nothing") is None


def test_stopping_ends_the_whole_tree(tmp_path):
    world = World(tmp_path)
    script = "trap '' TERM; sleep 60 & sleep 60"
    process = world.spawn("stubborn", ["bash", "-c", script], {}, tmp_path, tmp_path / "log")

    world.stop(process, grace_s=0.3)

    assert not process.running
    assert world.end_leftovers() == 0


def test_whoever_got_the_number_of_an_ended_process_is_left_alone(tmp_path):
    world = World(tmp_path)
    ended = world.spawn("short", ["true"], {}, tmp_path, tmp_path / "log")
    ended.wait(60)
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        ended.popen.pid = stranger.pid

        world.stop(ended, grace_s=0.3)

        assert stranger.poll() is None
        stranger.kill()


def test_a_free_port_is_kept_for_the_server_that_asks_for_it():
    port = free_port()

    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    socket.create_server(("127.0.0.1", port)).close()
