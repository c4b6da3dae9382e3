"""A command, run in this process as a user would type it."""

import pathlib

from click.testing import CliRunner


def call(program, *arguments, code=0) -> str:
    """What it prints. What it raises is raised here, and otherwise it has to end with this exit code."""
    result = CliRunner().invoke(program, list(map(str, arguments)))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def written(folder) -> set[str]:
    """The names of the files in a folder; none where there is no folder."""
    folder = pathlib.Path(folder)
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def runner(program, network, folder, monkeypatch):
    """run(arguments) → (names of the files written, in order, text printed), in the folder."""
    monkeypatch.chdir(folder)

    def run(*arguments, network=network):
        said = call(program, f'--network={network}', '--outdir=o', *arguments)
        return sorted(written(folder / 'o')), said
    return run
