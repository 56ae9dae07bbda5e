"""Settings by environment (COMPRESSION_...), checked at start. The README lists them."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from .errors import InvalidInput

ROOT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """Where things are kept and how jobs run."""

    model_config = SettingsConfigDict(env_prefix="COMPRESSION_", extra="ignore")

    store: str = Field(
        f"sqlite:///{ROOT / 'runs' / 'store.sqlite'}",
        description="SQLAlchemy address of the run store",
    )
    files: str = Field(
        str(ROOT / "runs" / "files"),
        description="folder or fsspec address of files and checkpoints",
    )
    data: str = Field(
        str(ROOT / "runs" / "data"),
        description="folder of data sets that are not shipped (CIFAR-10)",
    )
    engine: Literal["dask", "inline"] = Field(
        "dask", description="`inline` runs jobs in the page's own process (tests)"
    )
    scheduler: str = Field(
        "", description="address of a dask scheduler (tls://host:8786); empty: workers of our own"
    )
    batch_workers: int = Field(
        max(1, (os.cpu_count() or 2) - 1),
        ge=1,
        le=64,
        description="processes that train, at low priority",
    )
    live_workers: int = Field(1, ge=1, le=16, description="processes that answer the sliders")
    queue_per_person: int = Field(
        4, ge=1, description="training jobs that one person may have waiting or running"
    )
    queue_total: int = Field(60, ge=1, description="training jobs of all people together")

    board: bool = Field(
        False, description="a class board: who has the smallest file at a target accuracy"
    )
    login: bool = Field(False, description="people must log in (OpenID Connect): docs/deploy.md")
    admins: str = Field(
        "",
        description="who may delete runs and lead boards where people log in: e-mail addresses,"
        " by commas",
    )

    @property
    def administrators(self) -> frozenset[str]:
        return frozenset(name.strip().lower() for name in self.admins.split(",") if name.strip())

    @model_validator(mode="after")
    def _known_people(self) -> Settings:
        if self.admins and not self.login:
            raise ValueError(
                "COMPRESSION_ADMINS names people, but nobody logs in: set COMPRESSION_LOGIN=1 too"
            )
        return self

    @model_validator(mode="after")
    def _shared_store(self) -> Settings:
        if self.scheduler and self.store.startswith("sqlite"):
            raise ValueError(
                "COMPRESSION_SCHEDULER names a cluster, but COMPRESSION_STORE is a local SQLite"
                " file, which its workers on other machines can't reach; name a database server, or"
                " leave the scheduler empty"
            )
        return self


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process. Raises InvalidInput with one sentence where they are wrong."""
    try:
        return Settings()  # type: ignore[call-arg]  # the values come from the environment
    except ValidationError as e:
        first = e.errors()[0]
        reason = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:
            raise InvalidInput(reason) from None
        name = "_".join(["COMPRESSION", *map(str, first["loc"])]).upper()
        raise InvalidInput("{name}: {reason}", name=name, reason=reason) from None
