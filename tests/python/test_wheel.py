"""The wheel, built and installed into a fresh environment without the source tree: it imports, and gives the golden's values."""
import glob
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

from common import GOLDEN, ROOT, need, skip

need("numpy", "setuptools")
import numpy as np  # noqa: E402
import setuptools  # noqa: E402

if tuple(int(x) for x in setuptools.__version__.split(".")[:2]) < (70, 1):
    skip(f"setuptools {setuptools.__version__}, expected 70.1 or later")

CHECK = """
import json, os, sys
import numpy as np
import gllm
assert gllm.__file__.startswith(sys.prefix), gllm.__file__
assert os.path.exists(os.path.join(os.path.dirname(gllm.__file__), "py.typed"))
with open(os.path.join(sys.argv[1], "expected.json"), encoding="utf-8") as file:
    cases = json.load(file)["cases"]
with gllm.Client(sys.argv[1]) as client:
    got = client.embed([case["text"] for case in cases]).vectors
np.testing.assert_allclose(got, np.array([case["vector"] for case in cases], dtype=np.float32), atol=1e-5)
print(gllm.__version__)
"""


class Wheel(unittest.TestCase):
    def test_installed(self):
        with tempfile.TemporaryDirectory() as folder:
            source = shutil.copytree(os.path.join(ROOT, "python"), os.path.join(folder, "source"))
            subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, source], check=True)
            (wheel,) = glob.glob(os.path.join(folder, "gllm-*-py3-none-*.whl"))
            self.assertNotIn("-any", wheel)
            # numpy is this environment's: a fresh one with --system-site-packages would not see a virtual environment's packages
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", os.path.join(folder, "fresh")], check=True)
            python = os.path.join(folder, "fresh", "bin", "python")
            subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", wheel], check=True)
            (site,) = glob.glob(os.path.join(folder, "fresh", "lib", "python*", "site-packages"))
            with open(os.path.join(site, "numpy.pth"), "w", encoding="utf-8") as file:
                file.write(os.path.dirname(os.path.dirname(np.__file__)) + "\n")
            clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "GLLM_LIBRARY")}
            done = subprocess.run([python, "-c", CHECK, os.path.join(GOLDEN, "models", "bert-mean")], capture_output=True, text=True, cwd=folder, env=clean)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stdout, r"^\d+\.\d+\.\d+\n$")


if __name__ == "__main__":
    unittest.main()
