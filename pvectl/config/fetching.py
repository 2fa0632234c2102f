"""Where the secrets of `alert:` come from: proxmox.yml, a file, one of systemd's credentials, or a program that prints it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from pvectl.config import secrets
from pvectl.config.guarded import read_guarded
from pvectl.config.places import expanded
from pvectl.config.problems import Misspelt, nearest
from pvectl.config.schema.receivers import SecretSource
from pvectl.core.secret import Secret
from pvectl.errors import ConfigError, PvectlError, UnsafeFile

_LARGEST_CA_FILE = 1 << 20


class Secrets:
    """Fetches the secrets of `alert:`; each is fetched once, and none is shown in what goes wrong.

    `directory` is the configuration's, `proxmox_file_secrets` are those under `secrets:` in proxmox.yml, `limit_s` is how long a
    program may take to print one.
    """

    def __init__(
        self,
        directory: Path,
        env: Mapping[str, str],
        proxmox_file_secrets: Mapping[str, Secret],
        limit_s: float = secrets.COMMAND_LIMIT,
    ) -> None:
        self._directory = directory.absolute()
        self._env = env
        self._named = proxmox_file_secrets
        self._limit_s = min(limit_s, secrets.COMMAND_LIMIT)
        self._fetched: dict[SecretSource, Secret | PvectlError] = {}

    def __repr__(self) -> str:
        return "Secrets(***)"

    def fetch(self, source: SecretSource) -> Secret:
        """The secret itself.

        Raises:
            ConfigError: it is not there, or cannot be one.
            UnsafeFile: the file with it is open to others.
        """
        if source not in self._fetched:
            self._fetched[source] = self._tried(source)
        fetched = self._fetched[source]
        if isinstance(fetched, Secret):
            return fetched
        raise type(fetched)(fetched.message, hint=fetched.hint, subject=fetched.subject)

    def read_ahead(self, sources: Iterable[SecretSource]) -> None:
        """Fetch what needs no program, before root becomes a user who may not read it; what goes wrong is told when it is asked for."""
        for source in sources:
            if source not in self._fetched and not source.command:
                self._fetched[source] = self._tried(source)

    def can_tell(self, source: SecretSource) -> bool:
        """Whether fetching it here and now says anything, and starts no program: systemd hands credentials to the service alone."""
        return not source.command and (source.credential is None or bool(self._env.get("CREDENTIALS_DIRECTORY")))

    def certificate(self, written: str) -> str:
        """The path of a file with certificates, which is there and is one.

        Raises:
            ConfigError: it is not.
            UnsafeFile: others can change it.
        """
        path = self.path(written)
        try:
            content = read_guarded(Path(path), limit=_LARGEST_CA_FILE).content
        except FileNotFoundError:
            raise ConfigError(f"there is no file {path}", hint="copy the authority's certificate there, or pin a fingerprint") from None
        if b"-----BEGIN CERTIFICATE-----" not in content:
            raise ConfigError(f"{path} holds no certificate in PEM form", hint="it begins with -----BEGIN CERTIFICATE-----")
        return path

    def _tried(self, source: SecretSource) -> Secret | PvectlError:
        try:
            return self._found(source)
        except Misspelt as error:
            return ConfigError(error.message, hint=error.hint)
        except (ConfigError, UnsafeFile) as error:
            # without the frames it was raised in, which hold what was read
            return error.with_traceback(None)

    def path(self, written: str) -> str:
        """A file that is named in pvectl.yml, by its whole path; one that systemd handed to the service goes first."""
        credentials = self._env.get("CREDENTIALS_DIRECTORY")
        handed = Path(credentials) / Path(written).name if credentials else None
        return str(handed if handed is not None and os.path.lexists(handed) else self._directory / expanded(written))

    def _found(self, source: SecretSource) -> Secret:
        if source.secret is not None:
            return self._from_proxmox_file(source.secret)
        if source.file is not None:
            return self._from_file(Path(self.path(source.file)))
        if source.credential is not None:
            return self._from_credential(source.credential)
        return self._from_command(source)

    def _from_proxmox_file(self, name: str) -> Secret:
        if name not in self._named:
            # not the name itself, which may well be the secret
            close = nearest(name, self._named)
            hint = f"did you mean {close}?" if close else "write it under secrets: in proxmox.yml"
            raise Misspelt("there is no secret of this name in proxmox.yml", hint)
        return secrets.one_line(self._named[name])

    def _from_file(self, path: Path) -> Secret:
        return secrets.from_file(path, self._env, accept=secrets.one_line, what="a secret")

    def _from_credential(self, name: str) -> Secret:
        folder = self._env.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise Misspelt("is a credential, and systemd has handed none to this run", "LoadCredential= in the service hands it over")
        path = Path(folder) / name
        if not os.path.lexists(path):
            raise Misspelt("systemd has handed no credential of this name to this run", "LoadCredential= in the service hands it over")
        return self._from_file(path)

    def _from_command(self, source: SecretSource) -> Secret:
        try:
            return secrets.from_command(source.command, folder=self._directory, limit=self._limit_s, accept=secrets.one_line, heard=False)
        except Misspelt as error:
            raise Misspelt(f"the command: {error.message}", error.hint or "what it complains about is not shown; run it by hand") from None
