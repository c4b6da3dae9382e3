"""EasyDict, the download cache, names of Python objects and other helpers that need no torch."""


class EasyDict(dict):
    """A dict whose items are also attributes."""

    def __getattr__(self, name: str):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(name) from None


def make_cache_dir_path(*paths: str) -> str:
    raise NotImplementedError
