"""A model for others: files and a card into a repository of the Hugging Face Hub, when asked.

What lies there comes back by `hf download OWNER/NAME --local-dir DIR`, which is installed, too.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from facekit.errors import DataError, reason_of

CARD = "README.md"

log = logging.getLogger(__name__)


def publish(
    repository: str, paths: Mapping[str, Path], card: str, tags: Sequence[str], public: bool
) -> str:
    """Put files and a card into a repository of models, in one commit; return its address.

    The repository is made where there is none, for oneself alone unless it is to be public; one
    that is there stays as public as it is. Who asks is known by HF_TOKEN or `hf auth login`.

    Args:
        repository: OWNER/NAME.
        paths: what to put there, by the name that it gets.
        card: Markdown.
        tags: by which the card is found.
        public: whether everybody may read a repository that is made.

    Raises:
        DataError: no such name, no right to write, no connection.
    """
    from httpx2 import HTTPError  # by which huggingface_hub speaks
    from huggingface_hub import CommitOperationAdd, HfApi, ModelCardData
    from huggingface_hub.errors import HFValidationError

    data = ModelCardData(library_name="evenface", license="other", tags=["face", *tags])
    text = f"---\n{data.to_yaml()}\n---\n\n{card}"
    operations = [
        CommitOperationAdd(CARD, text.encode()),
        *(CommitOperationAdd(name, str(path)) for name, path in paths.items()),
    ]
    api = HfApi()
    try:
        address = str(api.create_repo(repository, private=not public, exist_ok=True))
        api.create_commit(repository, operations, commit_message="Write a model by evenface")
    except (HTTPError, HFValidationError) as error:
        raise DataError(
            f"--to-hub {repository}: nothing was written there ({reason_of(error)})"
        ) from None
    log.info("%s: %s", address, ", ".join([CARD, *paths]))
    return address
