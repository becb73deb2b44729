"""Every error message of the package, under a code that never changes its meaning.

A message says what was found, what was expected and what to do next. Codes are grouped by room:
1xx nn and weights, 2xx tokenization, 3xx corpora and scoring, 4xx layers and pipeline,
5xx training and the command line.
"""


class _ErrorsWithCodes(type):
    def __getattribute__(cls, code: str) -> str:
        message = super().__getattribute__(code)
        return message if code.startswith("__") else f"[{code}] {message}"


class Errors(metaclass=_ErrorsWithCodes):
    # 1xx: nn and weights

    # 2xx: tokenization

    # 3xx: corpora and scoring

    # 4xx: layers and pipeline

    # 5xx: training and the command line
    pass
