#!/usr/bin/env python3
"""Makes tests/golden/torch/: files of torch.save, good ones and such as must be refused (tests/unit/test_torch_zip.c), and tests/fuzz/corpus/torch/.

    pip install -r tools/requirements.txt && python3 tools/make_torch_goldens.py
"""
import io
import os
import pickle
import shutil
import zipfile

import torch

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUT, CORPUS = os.path.join(HERE, "tests/golden/torch"), os.path.join(HERE, "tests/fuzz/corpus/torch")


class Hostile:
    def __reduce__(self):
        return os.system, ("true",)


def tensors():
    f32 = torch.arange(12, dtype=torch.float32).reshape(3, 4) / 2
    return {
        "f32": f32, "f16": (torch.arange(6, dtype=torch.float16) / 2 - 1).reshape(2, 3), "bf16": torch.arange(4, dtype=torch.bfloat16),
        "f64": torch.tensor([0.25, 1.25], dtype=torch.float64), "i64": torch.tensor([7, 8, 9]), "scalar": torch.tensor(42.0), "empty": torch.zeros(0, 5),
        "view": f32[1:2], "tied": f32, "parameter": torch.nn.Parameter(torch.tensor([8.0, 9.0])),
    }


def main():
    for folder in (OUT, CORPUS):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
    path = lambda name: os.path.join(OUT, name)
    torch.save(tensors(), path("tensors.bin"))
    torch.save({"w": torch.arange(6.0).reshape(2, 3).T}, path("transposed.bin"))
    torch.save({"w": torch.ones(2)}, path("legacy.bin"), _use_new_zipfile_serialization=False)
    torch.save({"state_dict": {"w": torch.ones(2)}, "epoch": 3}, path("checkpoint.bin"))
    torch.save({"w": Hostile()}, path("hostile.bin"))
    # the corpus: a file after a byte 0, a pickle after a byte 1
    whole, state = io.BytesIO(), io.BytesIO()
    torch.save({"w": torch.ones(2)}, whole)
    torch.save(torch.nn.Linear(3, 2).state_dict(), state)
    pickles = {"state": zipfile.ZipFile(state).read("archive/data.pkl"), "tensors": zipfile.ZipFile(path("tensors.bin")).read("tensors/data.pkl"),
               "plain": pickle.dumps({"a": [1, 2.5, None, True, (3, 4, 5, 6)], "b": {"c": -7}}, protocol=4), "hostile": pickle.dumps(Hostile(), protocol=2)}
    for name, data in {"file": b"\0" + whole.getvalue(), **{f"pickle-{k}": b"\1" + v for k, v in pickles.items()}}.items():
        with open(os.path.join(CORPUS, name), "wb") as f:
            f.write(data)


if __name__ == "__main__":
    main()
