import gzip
import io
import json
import tarfile

import pytest

from tasks.adapters import aws, bundles
from tasks.errors import BadInput
from training.formats import BundleManifest

BUCKET = "bundles-models"
URI = f"s3://{BUCKET}/model.tar.gz"


@pytest.fixture(scope="module")
def members(tiny_bundle):
    return {file.name: file.read_bytes() for file in tiny_bundle().iterdir()}


@pytest.fixture(scope="module")
def digest(members):
    return BundleManifest.model_validate_json(members["manifest.json"]).digest


@pytest.fixture
def s3(sandbox):
    client = aws.client("s3")
    client.create_bucket(Bucket=BUCKET)
    return client


def upload(s3, members, change=lambda info: None, cut=None):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            change(info)
            tar.addfile(info, io.BytesIO(content))
    s3.put_object(Bucket=BUCKET, Key="model.tar.gz", Body=packed.getvalue()[:cut])


def test_an_untouched_bundle_is_proved(s3, members, digest):
    upload(s3, members.items())

    manifest = bundles.verify(s3, URI, digest)

    assert manifest.labels == ("World", "Sports", "Business", "Sci/Tech")


def test_members_as_tar_of_a_folder_writes_them_are_fine(s3, members, digest):
    upload(s3, [(f"./{name}", content) for name, content in members.items()])

    assert bundles.verify(s3, URI, digest).digest == digest


def test_another_bundle_than_the_registered_one_is_refused(s3, members):
    upload(s3, members.items())

    with pytest.raises(BadInput, match="the registered one is ffffffffffff"):
        bundles.verify(s3, URI, "f" * 64)


def test_one_flipped_bit_is_found_and_named(s3, members, digest):
    weights = bytearray(members["model.safetensors"])
    weights[-1] ^= 1
    upload(s3, {**members, "model.safetensors": bytes(weights)}.items())

    with pytest.raises(BadInput, match=r"model\.safetensors has SHA-256 .* the manifest says"):
        bundles.verify(s3, URI, digest)


def test_a_missing_and_an_unlisted_member_are_named(s3, members, digest):
    upload(s3, [item for item in members.items() if item[0] != "tokenizer.json"])
    with pytest.raises(BadInput, match=r"tokenizer\.json is in the manifest and not"):
        bundles.verify(s3, URI, digest)

    upload(s3, [*members.items(), ("evil.pkl", b"x")])
    with pytest.raises(BadInput, match=r"evil\.pkl not in the manifest"):
        bundles.verify(s3, URI, digest)


def test_a_cut_archive_is_refused(s3, members, digest):
    upload(s3, members.items(), cut=2000)

    with pytest.raises(BadInput, match=r"not a whole tar\.gz|is missing"):
        bundles.verify(s3, URI, digest)


@pytest.mark.parametrize("name", ["../config.json", "/config.json", "a/config.json", ".."])
def test_a_path_is_no_member(s3, members, digest, name):
    upload(s3, [(name, b"x"), *members.items()])

    with pytest.raises(BadInput, match="is not a plain file"):
        bundles.verify(s3, URI, digest)


def test_a_link_is_no_member(s3, members, digest):
    def as_link(info):
        info.type, info.linkname, info.size = tarfile.SYMTYPE, "/etc/passwd", 0

    upload(s3, [("config.json", b"")], change=as_link)

    with pytest.raises(BadInput, match="is not a plain file"):
        bundles.verify(s3, URI, digest)


def test_the_same_member_twice_is_refused(s3, members, digest):
    upload(s3, [*members.items(), ("config.json", members["config.json"])])

    with pytest.raises(BadInput, match=r"config\.json is there twice"):
        bundles.verify(s3, URI, digest)


def test_golden_texts_are_the_first_rows_of_the_test_split(s3):
    rows = [{"text": f"text\u0085 {n}", "label": "World"} for n in range(9)]
    packed = gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())
    s3.put_object(Bucket=BUCKET, Key="datasets/news/x/test.jsonl.gz", Body=packed)

    golden = bundles.golden(s3, f"s3://{BUCKET}/datasets/news/x", 3)

    assert golden == tuple((f"text\u0085 {n}", "World") for n in range(3))
