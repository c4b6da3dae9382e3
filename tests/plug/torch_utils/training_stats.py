seen = {}


def report(name, value):
    seen[name] = value
    return value


report0 = report


class Collector:
    def __init__(self, regex='.*', keep_previous=True):
        self.regex = regex
