import pytest
from pydantic import SecretStr

from serving.settings import BadSettings, ServingSettings, read


def test_the_port_that_sagemaker_asks_for_wins(monkeypatch):
    monkeypatch.setenv("API_PORT", "8000")
    monkeypatch.setenv("SAGEMAKER_BIND_TO_PORT", "8081")

    assert read().port == 8081


def test_every_variable_of_the_reference_systems_is_read(monkeypatch):
    given = {
        "MODEL_PATH": "/srv/model",
        "TOKENIZER_PATH": "/srv/model",
        "LABELS_PATH": "/srv/model/label_mappings.json",
        "API_HOST": "127.0.0.1",
        "API_PORT": "8001",
        "API_WORKERS": "4",
        "MODEL_NAME": "sentiment",
        "MODEL_CACHE_DIR": "/srv/cache",
        "BATCH_SIZE": "16",
        "ENABLE_METRICS": "false",
        "PROMETHEUS_PORT": "9090",
        "LOG_LEVEL": "DEBUG",
        "DATABASE_URL": "postgresql://db",
        "REDIS_URL": "redis://cache",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    settings = read()

    for name, value in given.items():
        found = getattr(settings, name.lower())
        plain = found.get_secret_value() if isinstance(found, SecretStr) else found
        assert str(plain).lower() == value.lower()
    assert "postgresql" not in repr(settings)


def test_a_log_level_may_be_written_in_any_case(monkeypatch):
    monkeypatch.setenv("LOG_LEVEL", "debug")

    assert read().log_level == "DEBUG"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("API_PORT", "99999", "API_PORT=99999: Input should be less than or equal to 65535"),
        ("API_WORKERS", "0", "API_WORKERS=0: Input should be greater than or equal to 1"),
        ("MAX_CHARS", "many", "MAX_CHARS=many: Input should be a valid integer"),
        ("MODEL_VERSION", "v1\r\nX-Evil: 1", "MODEL_VERSION="),
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL=LOUD: Input should be 'DEBUG', 'INFO'"),
        ("LABELS_PATH", "/elsewhere/labels.json", "LABELS_PATH=/elsewhere/labels.json is not in"),
    ],
)
def test_a_bad_value_is_refused_with_its_name_and_what_is_allowed(monkeypatch, name, value, said):
    monkeypatch.setenv(name, value)

    with pytest.raises(BadSettings) as refused:
        read()

    assert str(refused.value).startswith(said)


def test_two_sources_of_versions_are_one_too_many(monkeypatch):
    monkeypatch.setenv("PLAN_FILE", "/plan.json")
    monkeypatch.setenv("FOLLOW_ALIAS", "champion")

    with pytest.raises(BadSettings, match="PLAN_FILE and FOLLOW_ALIAS both say what to serve"):
        read()


def test_following_an_alias_needs_a_registry_and_a_model(monkeypatch):
    monkeypatch.setenv("FOLLOW_ALIAS", "champion")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://registry")

    with pytest.raises(BadSettings, match="MODEL_NAME as the registry has it"):
        read()


def test_settings_do_not_change_after_they_were_read():
    with pytest.raises(ValueError, match="frozen"):
        ServingSettings().api_port = 1
