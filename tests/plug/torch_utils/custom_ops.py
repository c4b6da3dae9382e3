verbosity = 'none'


def get_plugin(module_name, sources, **build_kwargs):
    raise RuntimeError('nothing is compiled here')
