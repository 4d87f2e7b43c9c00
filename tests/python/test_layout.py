"""The structs and enumerations of gllm/_c.py against gllm.h, by a C program that prints what the compiler makes of the header."""
import ctypes
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from common import ROOT, need, skip

need("numpy")
from gllm import _c  # noqa: E402

COMPILER = os.environ.get("CC") or shutil.which("cc") or skip("no C compiler")
HEADER = os.path.join(ROOT, "include", "gllm.h")
ENUMS = {"GLLM_": _c.STATUS, "GLLM_PRECISION_": _c.PRECISION, "GLLM_KV_CACHE_": _c.KV_CACHE, "GLLM_LOAD_": _c.LOAD, "GLLM_INPUT_": _c.INPUT_TYPE,
         "GLLM_TRUNCATE_": _c.TRUNCATE, "GLLM_NORMALIZE_": _c.NORMALIZE, "GLLM_POOLING_": _c.POOLING, "GLLM_OUTPUT_": _c.OUTPUT, "GLLM_SCORES_": _c.SCORES,
         "GLLM_LOG_": _c.LOG, "GLLM_MODEL_": _c.STATE, "GLLM_FINISH_": _c.FINISH, "GLLM_PART_": _c.PART, "GLLM_FETCH_": _c.FETCH}


def named(values):
    return values if isinstance(values, dict) else {name: i for i, name in enumerate(values)}


def program():
    lines = ['#include "gllm.h"', "#include <stdio.h>", "int main(void) {"]
    for name, kind in _c.STRUCTS.items():
        lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
        for field, _ in kind._fields_:
            lines.append(f'printf("{name}.{field} %zu %zu\\n", offsetof({name}, {field}), sizeof((({name} *)0)->{field}));')
    for prefix, values in ENUMS.items():
        for name in named(values):
            lines.append(f'printf("{prefix}{name.upper()} %d\\n", (int){prefix}{name.upper()});')
    return "\n".join([*lines, "return 0; }"])


def measured():
    with tempfile.TemporaryDirectory() as folder:
        source, binary = os.path.join(folder, "layout.c"), os.path.join(folder, "layout")
        with open(source, "w", encoding="utf-8") as file:
            file.write(program())
        subprocess.run([COMPILER, "-I", os.path.dirname(HEADER), source, "-o", binary], check=True)
        rows = subprocess.run([binary], capture_output=True, text=True, check=True).stdout.splitlines()
    return {row.split()[0]: [int(x) for x in row.split()[1:]] for row in rows}


class Layout(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.c = measured()

    def test_fields(self):
        for name, kind in _c.STRUCTS.items():
            for field, _ in kind._fields_:
                place = getattr(kind, field)
                with self.subTest(field=f"{name}.{field}"):
                    self.assertEqual([place.offset, place.size], self.c[f"{name}.{field}"])

    def test_sizes(self):
        """What lies in arrays has the header's size; what else gllm returns may have grown at its end since."""
        for name, kind in _c.STRUCTS.items():
            with self.subTest(struct=name):
                if name in _c.FIXED:
                    self.assertEqual(ctypes.sizeof(kind), self.c[name][0])
                else:
                    self.assertLessEqual(ctypes.sizeof(kind), self.c[name][0])

    def test_enumerations(self):
        for prefix, values in ENUMS.items():
            for name, value in named(values).items():
                with self.subTest(name=prefix + name.upper()):
                    self.assertEqual([value], self.c[prefix + name.upper()])

    def test_functions(self):
        """Every function of the table is declared, with as many arguments."""
        with open(HEADER, encoding="utf-8") as file:
            header = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
        for name, (_, arguments) in _c.FUNCTIONS.items():
            with self.subTest(function=name):
                declared = re.search(rf"\bGLLM_API [^;]*\bgllm_{name}\(([^)]*)\);", header)
                self.assertIsNotNone(declared)
                self.assertEqual(len(arguments), 0 if declared[1] == "void" else declared[1].count(",") + 1)


if __name__ == "__main__":
    unittest.main()
