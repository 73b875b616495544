from pathlib import Path

import pytest
import yaml

from serving.config_file import ConfigFile
from serving.settings import BadSettings, ServingSettings, read

SHIPPED = Path("config/api_config.yaml")


@pytest.fixture
def config(tmp_path, monkeypatch):
    """`config(text)` is the file that API_CONFIG names."""

    def write(text: str) -> Path:
        file = tmp_path / "api.yaml"
        file.write_text(text)
        monkeypatch.setenv("API_CONFIG", str(file))
        return file

    return write


def test_every_key_of_the_file_is_a_setting(config):
    config("""
api: {host: 127.0.0.1, port: 9000, workers: 4, reload: false}
monitoring: {prometheus: {enabled: false, port: 9090}}
cache: {enabled: false, ttl: 60, max_size: 10}
security: {rate_limit: {enabled: false, requests_per_minute: 5}}
""")

    found = read()

    assert (found.api_host, found.port, found.api_workers) == ("127.0.0.1", 9000, 4)
    assert (found.enable_metrics, found.prometheus_port) == (False, 9090)
    assert (found.cache_enabled, found.cache_ttl_s, found.cache_max_size) == (False, 60, 10)
    assert (found.rate_limit_enabled, found.rate_limit_per_minute) == (False, 5)


def test_the_environment_wins(config, monkeypatch):
    config("api: {port: 9000, workers: 4}")
    monkeypatch.setenv("API_PORT", "9001")

    assert (read().port, read().api_workers) == (9001, 4)


def test_the_file_that_is_shipped_says_every_default():
    shipped = ConfigFile.model_validate(yaml.safe_load(SHIPPED.read_text())).settings()

    assert shipped == {name: ServingSettings.model_fields[name].default for name in shipped}
    assert set(ConfigFile().settings()) < set(shipped)


def test_without_a_file_the_defaults_hold(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    assert read().port == 8000


def test_a_section_with_all_its_keys_commented_out_is_empty(config):
    config("api:\n#  port: 1\ncache: {ttl: 5}\n")

    assert (read().port, read().cache_ttl_s) == (8000, 5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("api: {prot: 1}", "api.prot: no such key"),
        ("databse: {}", "databse: no such key"),
        ("api: {reload: true}", "api.reload: Input should be False"),
        ("cache: {ttl: soon}", "cache.ttl: Input should be a valid number"),
        ("api: 8000", "api: Input should be a valid dictionary"),
        ("- api", "the file: Input should be a valid dictionary"),
        ("api: [", "cannot be read as YAML"),
    ],
)
def test_a_mistake_in_the_file_is_told_by_file_and_key(config, text, said):
    file = config(text)

    with pytest.raises(BadSettings) as refused:
        read()

    assert str(refused.value).startswith(f"{file}: {said}")


def test_a_value_out_of_bounds_is_told_by_its_name(config):
    config("api: {port: 99999}")

    with pytest.raises(BadSettings, match=r"^API_PORT=99999: "):
        read()


def test_a_file_that_is_named_but_not_there_is_an_error(monkeypatch):
    monkeypatch.setenv("API_CONFIG", "/no/such.yaml")

    with pytest.raises(BadSettings, match=r"^API_CONFIG=/no/such\.yaml: no such file$"):
        read()
