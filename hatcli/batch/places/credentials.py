"""How stores are reached: their SDKs' environment variables and files, plain HTTP where an endpoint says so."""

from __future__ import annotations

import configparser
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from hatcli.batch.places.address import Address
from hatcli.errors import UsageError

_PREFIXES = ("AWS_", "GOOGLE_", "AZURE_")
_OF_A_MACHINE = ("_FILE", "_PATH", "_PROFILE", "_APPLICATION_CREDENTIALS", "_SERVICE_ACCOUNT", "_ROLE_ARN")
_OF_A_CONTAINER = ("AWS_CONTAINER_", "AWS_EC2_", "AWS_EXECUTION_", "AWS_LAMBDA_")
_NAMES = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
    "region": "region",
    "endpoint_url": "endpoint",
}
_VARIABLES = {
    "access_key_id": "AWS_ACCESS_KEY_ID",
    "secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "session_token": "AWS_SESSION_TOKEN",
    "region": "AWS_REGION",
    "endpoint": "AWS_ENDPOINT_URL",
}


def connect(address: Address) -> Any:
    """The bucket of an address, open.

    Raises:
        UsageError: the library for stores is missing, or its configuration is odd.
    """
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError:
        raise UsageError(
            f"{address.scheme}:// needs a library that is not installed", hint="pip install 'hatcli[cloud]'"
        ) from None
    config = _profile() if address.scheme == "s3" else {}
    client: dict[str, Any] = {"timeout": "120s", "connect_timeout": "10s", "user_agent": "hat"}
    endpoints = [os.environ.get(name, "") for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT")]
    if any(endpoint.startswith("http://") for endpoint in (*endpoints, config.get("endpoint", ""))):
        client["allow_http"] = True  # somebody has written http:// there
    retry = {"max_retries": 3, "retry_timeout": timedelta(seconds=60)}
    try:
        return from_url(address.base, config=config or None, client_options=client, retry_config=retry)  # type: ignore[call-overload]
    except (BaseError, ValueError):
        raise UsageError(
            f"{address.base} cannot be opened", hint="see docs/clusters.md for what its cloud needs to be told"
        ) from None


def carried() -> dict[str, str]:
    """What this machine is told of stores by its environment and by the AWS command line's files, as an environment.

    For workers elsewhere, which have nothing of it; names of files stay, as do those of a machine's own role.
    """
    found = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(_PREFIXES) and not name.endswith(_OF_A_MACHINE) and not name.startswith(_OF_A_CONTAINER)
    }
    return found | {_VARIABLES[name]: value for name, value in _profile().items()}


def _profile() -> dict[str, str]:
    """What the files of the AWS command line say, where the environment names no key; nothing else is overridden."""
    if os.environ.get("AWS_ACCESS_KEY_ID") or os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        return {}
    profile = os.environ.get("AWS_PROFILE", "default")
    home = Path.home() / ".aws"
    files = {
        os.environ.get("AWS_CONFIG_FILE") or str(home / "config"): f"profile {profile}",
        os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or str(home / "credentials"): profile,
    }
    found: dict[str, str] = {}
    for file, section in files.items():
        parser = configparser.RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (configparser.Error, UnicodeError):
            continue
        for name in (section, profile):
            if parser.has_section(name):
                found |= {_NAMES[key]: value for key, value in parser.items(name) if key in _NAMES}
    if os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"):
        found.pop("region", None)
    return found
