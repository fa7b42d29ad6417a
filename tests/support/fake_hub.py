"""A hub of one repository: a folder for each of its revisions."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub


def use_fake_hub(monkeypatch, snapshot: Path, **revisions: Path) -> list[str]:
    """Let `huggingface_hub` fetch from folders; returns the list of downloads."""
    downloaded = []

    def names(revision):
        folder = revisions[revision or "main"]
        files = (path for path in folder.rglob("*") if path.is_file())
        return [path.relative_to(folder).as_posix() for path in files]

    def info(repo, revision):
        files = [SimpleNamespace(rfilename=name) for name in names(revision)]
        return SimpleNamespace(siblings=files)

    def download(repo, revision, allow_patterns, local_files_only):
        assert not local_files_only
        chosen = huggingface_hub.utils.filter_repo_objects(
            names(revision), allow_patterns=allow_patterns
        )
        for name in chosen:
            (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(revisions[revision or "main"] / name, snapshot / name)
            downloaded.append(name)
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "model_info", info)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return downloaded
