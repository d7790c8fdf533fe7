"""The Hugging Face Hub, or another server that speaks its protocol: `HF_ENDPOINT` names it.

Only here is huggingface_hub imported, when a command needs it. Whatever it raises is one sentence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from joule.extras import needed
from joule.sharing.contents import SharingError, is_of_run
from joule.storage.files import why
from joule.storage.provenance import version

_LOGIN = "log in with `hf auth login`, or set HF_TOKEN"
_LONGEST = 300
"""Characters of a server's message that are shown."""


class Hub:
    """Repositories of models.

    Args:
        command: needs it, such as `joule push`.

    Raises:
        ConfigError: where huggingface_hub is not installed.
    """

    def __init__(self, command: str) -> None:
        self._library: Any = needed("huggingface_hub", "hub", command)
        self._errors: Any = needed("huggingface_hub.errors", "hub", command)
        self._api: Any = self._library.HfApi(library_name="joule", library_version=version())
        self.endpoint: str = self._api.endpoint
        self._utils: Any = needed("huggingface_hub.utils", "hub", command)

    def check_token(self) -> None:
        """Raises SharingError where there is no token to write with."""
        if not self._library.get_token():
            raise SharingError(f"there is no token for {self.endpoint}: {_LOGIN}")

    def files(self, repo: str, revision: str | None) -> tuple[str, dict[str, int | None]]:
        """The commit of a revision, and the size in bytes of each of its files by name.

        Args:
            repo: such as `name/halfcheetah`.
            revision: a branch, a tag or a commit; None is the main branch.

        Raises:
            SharingError: without network, for an unknown or private repository, and for an unknown revision.
        """
        with self._sentences(repo, revision):
            found = self._api.model_info(repo, revision=revision, files_metadata=True)
        return str(found.sha), {entry.rfilename: entry.size for entry in found.siblings or []}

    def download(self, repo: str, commit: str, name: str, folder: Path) -> Path:
        """Downloads one file of a commit into a folder. Returns its path. Raises SharingError as `files`."""
        with self._sentences(repo, commit):
            return Path(self._api.hf_hub_download(repo, name, revision=commit, local_dir=folder))

    def upload(
        self, repo: str, files: Mapping[str, bytes], message: str, *, private: bool, revision: str | None
    ) -> tuple[str, str]:
        """Makes a commit with these files. Those of earlier checkpoints are removed in it.

        Args:
            repo: is made where it does not exist.
            files: by name.
            message: of the commit.
            private: whether a repository that is made is private. To one that is public nothing is uploaded.
            revision: the branch; None is the main branch.

        Returns:
            The address of the repository, and the commit.

        Raises:
            SharingError: without network, for a repository that this token may not write, and with `private` for
                one that is public.
        """
        with self._sentences(repo, revision):
            url = self._api.create_repo(repo, private=private or None, exist_ok=True)
            # The Hub leaves one that exists as it is.
            if private and self._api.model_info(repo).private is False:
                raise SharingError(
                    f"--private: {repo} exists and is public, and nothing was uploaded; choose another name, "
                    f"or make it private in its settings at {url}"
                )
            if revision is not None:
                self._api.create_branch(repo, branch=revision, exist_ok=True)
            before = self._api.model_info(repo, revision=revision).siblings or []
            gone = [
                entry.rfilename
                for entry in before
                if entry.rfilename not in files and is_of_run(entry.rfilename)
            ]
            operations = [self._library.CommitOperationDelete(path_in_repo=name) for name in gone]
            operations += [
                self._library.CommitOperationAdd(path_in_repo=name, path_or_fileobj=data)
                for name, data in files.items()
            ]
            done = self._api.create_commit(repo, operations, commit_message=message, revision=revision)
        return str(url), str(done.oid)

    @contextmanager
    def _sentences(self, repo: str, revision: str | None) -> Iterator[None]:
        """Inside, an error of the library becomes a sentence."""
        errors = self._errors
        bars = not self._utils.are_progress_bars_disabled()  # a program may want those of other transfers
        self._utils.disable_progress_bars()
        try:
            yield
        except errors.HFValidationError as error:
            raise SharingError(f"{repo!r:.120} names no repository: {_first_line(error)}") from error
        except errors.RevisionNotFoundError as error:
            raise SharingError(f"{repo}: has no revision {revision or 'main'!r:.120}") from error
        except errors.GatedRepoError as error:
            raise SharingError(
                f"{repo}: its owner gives access on request; ask on its page at {self.endpoint}"
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise SharingError(
                f"{repo}: {self.endpoint} has no such repository that you may read; check the name, and for a "
                f"private one {_LOGIN}"
            ) from error
        except errors.LocalEntryNotFoundError as error:  # without network it looks into a cache, in vain
            raise self._unreachable(repo, error) from error
        except errors.EntryNotFoundError as error:
            raise SharingError(f"{repo}: a file that it lists is not there: {_first_line(error)}") from error
        except errors.HfHubHTTPError as error:
            raise SharingError(f"{repo}: {self._answer(error)}") from error
        except (errors.HTTPError, OSError) as error:
            raise self._unreachable(repo, error) from error
        finally:
            if bars:
                self._utils.enable_progress_bars()

    def _unreachable(self, repo: str, error: Exception) -> SharingError:
        reason = _first_line(error)
        # huggingface_hub asks every server for Xet where hf_xet is installed; it has no other way of finding out.
        also = "; for a server without Xet set HF_HUB_DISABLE_XET=1" if "xet" in reason else ""
        return SharingError(
            f"{repo}: {self.endpoint} cannot be reached ({reason}); check the network and HF_ENDPOINT{also}"
        )

    def _answer(self, error: Any) -> str:
        """What a server's refusal means, as the end of a sentence."""
        status = None if error.response is None else error.response.status_code
        if status == 401:
            return f"{self.endpoint} does not accept the token; {_LOGIN}"
        if status == 403:
            return f"this token may not do that ({_first_line(error)}); take one that may write to this repository"
        return f"{self.endpoint} answered with status {status} ({_first_line(error)}); try again later"


def _first_line(error: Exception) -> str:
    text = why(error) if isinstance(error, OSError) else str(error)
    return next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)[:_LONGEST]
