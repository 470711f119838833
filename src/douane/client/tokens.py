"""Who sends the requests: a token, Keystone's credentials, or nobody, by the usual environment variables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from douane.errors import PlanError, UploadError

from .http import Answer, Line
from .patience import Patience

_PASSWORD = ("v3password", "password", "v3token", "token", "")
_APPLICATION = "v3applicationcredential"


class Access:
    """The URL of the image service, and the header that its requests carry."""

    def __init__(self, url: str | None, environment: Mapping[str, str], patience: Patience) -> None:
        """`url` is that of the service, which otherwise comes from the environment or from Keystone's catalog. Raises
        PlanError if neither says it."""
        self._environment = environment
        self._patience = patience
        self._url = url or self._get("OS_ENDPOINT") or self._get("OS_IMAGE_ENDPOINT_OVERRIDE")
        self.ca_file = self._get("OS_CACERT")
        self.roles: tuple[str, ...] | None = None
        """Of the token, where Keystone has given it."""
        self._token = self._get("OS_TOKEN") or self._get("OS_AUTH_TOKEN")
        self._has_keystone = self._token is None and self._get("OS_AUTH_TYPE") not in ("none", "noauth")
        self._has_keystone = self._has_keystone and self._get("OS_AUTH_URL") is not None
        if self._url is None and not self._has_keystone:
            raise PlanError(
                "nothing says where the image service is: give --url, or set OS_ENDPOINT, or OS_AUTH_URL with "
                "credentials for Keystone"
            )

    def url(self) -> str:
        """The URL of the service, without ``/v2``."""
        if self._url is None:
            self.renew()
        assert self._url is not None, "Keystone's catalog has said it"
        url = self._url.rstrip("/")
        return url.removesuffix("/v2")

    def headers(self) -> dict[str, str]:
        """The header with the token."""
        if self._token is None and self._has_keystone:
            self.renew()
        return {} if self._token is None else {"X-Auth-Token": self._token}

    def renew(self) -> bool:
        """Get another token; False if there is no way to. Raises UploadError, PlanError."""
        if not self._has_keystone:
            return False
        answer = self._ask({"auth": {"identity": self._identity(), **self._scope()}})
        self._token = answer.headers.get("x-subject-token")
        document = answer.document()
        token = document.get("token") if isinstance(document, dict) else None
        if self._token is None or not isinstance(token, dict):
            raise UploadError("Keystone answered without a token", code="not-authorized")
        self.roles = tuple(str(role.get("name")) for role in _objects(token.get("roles")))
        if self._url is None:
            self._url = self._endpoint(token.get("catalog") or [])
        return True

    def _ask(self, body: Any) -> Answer:
        url = self._require("OS_AUTH_URL").rstrip("/")
        url = url if url.endswith("/v3") else f"{url}/v3"
        with Line(url, self.ca_file) as line:
            while True:
                try:
                    headers = {"Content-Type": "application/json"}
                    answer = line.request("POST", "/auth/tokens", headers, json.dumps(body).encode())
                except OSError as error:
                    self._patience.wait(f"Keystone cannot be reached ({error})")
                    continue
                if answer.status == 201:
                    return answer
                if answer.status < 500 and answer.status != 429:
                    raise UploadError(f"Keystone gives no token: {answer.sentence()}", code="not-authorized")
                self._patience.wait(f"Keystone answers with status {answer.status}", answer.headers)

    def _identity(self) -> dict[str, Any]:
        kind = self._get("OS_AUTH_TYPE") or ""
        secret = self._get("OS_APPLICATION_CREDENTIAL_SECRET")
        if kind == _APPLICATION or (not kind and secret):
            credential: dict[str, Any] = {"secret": self._require("OS_APPLICATION_CREDENTIAL_SECRET")}
            if identifier := self._get("OS_APPLICATION_CREDENTIAL_ID"):
                credential["id"] = identifier
            else:
                credential["name"] = self._require("OS_APPLICATION_CREDENTIAL_NAME")
                credential["user"] = self._user()
            return {"methods": ["application_credential"], "application_credential": credential}
        if kind not in _PASSWORD:
            raise PlanError(
                f"OS_AUTH_TYPE is {kind!r:.60}; password, v3applicationcredential, token and none are known"
            )
        user = {**self._user(), "password": self._require("OS_PASSWORD")}
        return {"methods": ["password"], "password": {"user": user}}

    def _user(self) -> dict[str, Any]:
        if identifier := self._get("OS_USER_ID"):
            return {"id": identifier}
        return {"name": self._require("OS_USERNAME"), "domain": self._domain("USER")}

    def _domain(self, whose: str) -> dict[str, str]:
        if identifier := self._get(f"OS_{whose}_DOMAIN_ID"):
            return {"id": identifier}
        name = self._get(f"OS_{whose}_DOMAIN_NAME")
        return {"name": name} if name else {"id": self._get("OS_DEFAULT_DOMAIN") or "default"}

    def _scope(self) -> dict[str, Any]:
        if identifier := self._get("OS_PROJECT_ID"):
            return {"scope": {"project": {"id": identifier}}}
        if name := self._get("OS_PROJECT_NAME"):
            return {"scope": {"project": {"name": name, "domain": self._domain("PROJECT")}}}
        return {}  # an application credential has a project of its own

    def _endpoint(self, catalog: Any) -> str:
        interface = (self._get("OS_INTERFACE") or self._get("OS_ENDPOINT_TYPE") or "public").removesuffix("URL")
        region = self._get("OS_REGION_NAME")
        for service in _objects(catalog):
            for endpoint in _objects(service.get("endpoints")) if service.get("type") == "image" else []:
                fits = endpoint.get("interface") == interface and region in (None, endpoint.get("region_id"))
                if fits and isinstance(endpoint.get("url"), str):
                    return str(endpoint["url"])
        where = f" in the region {region}" if region else ""
        raise UploadError(f"Keystone's catalog has no image service{where}: give --url", code="not-authorized")

    def _get(self, name: str) -> str | None:
        return self._environment.get(name) or None

    def _require(self, name: str) -> str:
        value = self._get(name)
        if value is None:
            raise PlanError(f"the environment variable {name} is not set; Keystone needs it for these credentials")
        return value


def _objects(values: Any) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
