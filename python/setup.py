"""Puts the shared library into the package, and those that it needs and Debian does not always have: $GLLM_LIBRARY, else ../build/release/libgllm.so.

So the wheel is for one platform, and for any Python 3."""
import os
import re
import shutil
import subprocess

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.dist import Distribution

LIBRARY = os.environ.get("GLLM_LIBRARY") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build", "release", "libgllm.so")
NEEDED = re.compile(r"(lib(?:jansson|utf8proc|pcre2-8)\.so\S*) => (/\S+)")


class WithLibrary(build_py):
    def run(self):
        super().run()
        package = os.path.join(self.build_lib, "gllm")
        shutil.copyfile(LIBRARY, os.path.join(package, "libgllm.so"))
        for name, path in NEEDED.findall(subprocess.run(["ldd", LIBRARY], capture_output=True, text=True, check=True).stdout):
            shutil.copyfile(path, os.path.join(package, name))


class ForPlatform(bdist_wheel):
    def get_tag(self):
        return "py3", "none", super().get_tag()[2]


class WithBinary(Distribution):
    def has_ext_modules(self):
        return True


setup(cmdclass={"build_py": WithLibrary, "bdist_wheel": ForPlatform}, distclass=WithBinary)
