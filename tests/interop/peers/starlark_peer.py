"""Evaluates scripts with the Rust implementation of Starlark, through PyPI's starlark-pyo3.

Reads a JSON list of sources that each define `run`; writes a JSON list of {"value": repr} or {"error": text}.
"""

import json
import sys

import starlark


def one(source):
    module = starlark.Module()
    try:
        parsed = starlark.parse("rule.star", source + "\nrepr(run())\n", dialect=starlark.Dialect.standard())
        return {"value": starlark.eval(module, parsed, starlark.Globals.standard())}
    except Exception as error:  # whatever it is, the script has failed
        return {"error": str(error)}


json.dump([one(source) for source in json.load(sys.stdin)], sys.stdout)
