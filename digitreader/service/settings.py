"""What an operator may set, by environment variables that start with DIGITS_."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from digitreader.service.schemas import BATCH

VISIBLE = re.compile(r"[!-~]+")


class Settings(BaseSettings):
    """The service's settings; DIGITS_MAX_BYTES=1000000 sets `max_bytes`.

    Attributes
    ----------
    api_keys : tuple of SecretStr
        If there are any, requests need one of them in the header X-API-Key; separated by commas, of visible ASCII.
    max_bytes : int
        Of a request's body.
    max_bytes_together : int
        Of the bodies that a worker holds at once; requests that would need more are turned away.
    max_pixels : int
        Of an image.
    max_batch : int
        Images in a request.
    max_concurrent : int
        Requests that a worker has at once; more are turned away.
    seconds : float
        That a request may take, its headers and its body included.
    threads : int
        That read pictures, in each worker; 0 is one for each core that the container or process may use, shared by the
        workers.
    cors_origins : tuple of str
        Other sites whose pages may use the service; separated by commas.
    without_keys : bool
        Whether anyone may use a service without keys that others than this machine can reach.
    page : bool
        Whether the page and the API's documentation are served.
    """

    model_config = SettingsConfigDict(env_prefix="DIGITS_", frozen=True)

    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    max_bytes: int = Field(default=10_000_000, gt=0)
    max_bytes_together: int = Field(default=100_000_000, gt=0)
    max_pixels: int = Field(default=25_000_000, gt=0)
    max_batch: int = Field(default=64, gt=0, le=BATCH)
    max_concurrent: int = Field(default=128, gt=0)
    seconds: float = Field(default=10, gt=0, le=3600, allow_inf_nan=False)
    threads: int = Field(default=0, ge=0)
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    without_keys: bool = False
    page: bool = True

    @field_validator("api_keys", "cors_origins", mode="before")
    @classmethod
    def split(cls, value: object) -> object:
        """Return the parts of a text between its commas."""
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("api_keys")
    @classmethod
    def can_be_sent(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        """Raise if a header cannot carry a key as it is."""
        if not all(VISIBLE.fullmatch(key.get_secret_value()) for key in keys):
            raise ValueError("a key is of visible ASCII characters")
        return keys
