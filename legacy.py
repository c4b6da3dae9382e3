"""`python legacy.py` converts network pickles; `import legacy` gives scripts the reader they know."""

from tools import cli


def load_network_pkl(f, force_fp16=False):
    """See stylegan2_mspe.legacy.load_network_pkl, which is imported (with torch) when it is called."""
    from stylegan2_mspe import legacy

    return legacy.load_network_pkl(f, force_fp16)


if __name__ == '__main__':
    from tools.legacy import main
    cli.run(main)
