"""Puts the shared library into the package: $GLLM_LIBRARY, else ../build/release/libgllm-python.so. So the wheel is for one platform, and any Python 3."""
import os
import shutil

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.dist import Distribution

HERE = os.path.dirname(os.path.abspath(__file__))


class WithLibrary(build_py):
    def run(self):
        super().run()
        library = os.environ.get("GLLM_LIBRARY", os.path.join(HERE, "..", "build", "release", "libgllm-python.so"))
        shutil.copyfile(library, os.path.join(self.build_lib, "gllm", "libgllm.so"))


class ForPlatform(bdist_wheel):
    def finalize_options(self):
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self):
        return "py3", "none", super().get_tag()[2]


class WithBinary(Distribution):
    def has_ext_modules(self):
        return True


setup(cmdclass={"build_py": WithLibrary, "bdist_wheel": ForPlatform}, distclass=WithBinary)
