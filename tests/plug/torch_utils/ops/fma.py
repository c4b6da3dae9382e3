def fma(a, b, c):
    return a * b + c
