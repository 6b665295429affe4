"""The banner tells how to share the embedded database, and the secret if it was generated."""

from pathlib import Path
from typing import Final

import pytest

from entrypoints import banner
from entrypoints.settings import Settings

SECRET: Final = "own-secret-0123456789abcdef-012345"
URL: Final = "postgresql://postgres:password@127.0.0.1:5432/taskport"


def shown(configured: Settings) -> str:
    settings = configured.with_local_database(URL)
    return banner.on_postgres(
        configured, settings if settings.secrets else settings.with_secret("s" * 40), 8000
    )


def test_generated_secret_is_shared(tmp_path: Path) -> None:
    text = shown(Settings(taskport_data_dir=tmp_path / "my data"))
    assert f"""DATABASE_URL="$(cat '{tmp_path}/my data/database-url')\"""" in text
    assert f"""BETTER_AUTH_SECRET="$(cat '{tmp_path}/my data/secret')\"""" in text


@pytest.mark.parametrize(
    "secrets", [{"better_auth_secret": SECRET}, {"better_auth_secrets": f"1:{SECRET}"}]
)
def test_file_of_another_secret_is_not_shown(tmp_path: Path, secrets: dict[str, str]) -> None:
    text = shown(Settings.model_validate({"taskport_data_dir": tmp_path, **secrets}))
    assert f"""DATABASE_URL="$(cat {tmp_path}/database-url)\"""" in text
    assert "BETTER_AUTH_SECRET" not in text
    assert SECRET not in text
