"""Package arcface_mxnet: the folder src/ is the import package."""

from pathlib import Path
import re

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+?)"', (ROOT / "src/__init__.py").read_text()).group(1)
# MXNet 1.9.1 is built against numpy 1 and uses names that scipy 2 drops; opencv-python 4.12 and up
# need numpy 2; on Python 3.12 MXNet takes distutils from setuptools; on 3.13 it has no numpy 1.
MXNET_PYTHON = "python_version < '3.13'"
MXNET_NEEDS = [
    f"numpy>=1.23,<2; {MXNET_PYTHON}",
    f"opencv-python<4.12; {MXNET_PYTHON}",
    f"scipy<2; {MXNET_PYTHON}",
    f"setuptools<81; python_version >= '3.12' and {MXNET_PYTHON}",
]


def mxnet(package: str) -> list[str]:
    """Return the requirements of one build of MXNet.

    Where it cannot run, pip is asked for a version whose name is the reason, which pip prints as
    it fails.  No registry can serve it: they take no local versions (PEP 440).
    """
    return [
        f"{package}==1.9.1; {MXNET_PYTHON}",
        f"{package}==1.9.1+wants.python.3.10.to.3.12; python_version >= '3.13'",
        *MXNET_NEEDS,
    ]


CUDA_WHEELS = [
    "nvidia-cublas-cu11",
    "nvidia-cuda-nvrtc-cu11",
    "nvidia-cuda-runtime-cu11",
    "nvidia-cudnn-cu11<9",  # MXNet 1.9.1 is linked to cuDNN 8
    "nvidia-cufft-cu11",
    "nvidia-curand-cu11",
    "nvidia-cusolver-cu11",
    "nvidia-nccl-cu11",
    "nvidia-nvtx-cu11",
]
# Three packages of one module name, onnxruntime: an environment holds one of them, so the extra
# [gpu] goes with none of the others.  OpenVINO's provider is the fastest on x86-64; its wheels end
# at Python 3.13.  From 1.27 on onnxruntime's own PRelu is four times as slow on a CPU.
OPENVINO = "sys_platform == 'linux' and platform_machine == 'x86_64' and python_version < '3.14'"
NO_OPENVINO = "sys_platform != 'linux' or platform_machine != 'x86_64' or python_version >= '3.14'"
ONNX_CPU = [
    "onnx",
    f"onnxruntime-openvino>=1.23,<1.25; {OPENVINO}",
    f"onnxruntime<1.27; {NO_OPENVINO}",
]

setup(
    name="arcface_mxnet",
    version=VERSION,
    description="The ArcFace recipe of 2018 (LResNet-IR on MXNet), rebuilt",
    license="Apache-2.0",
    python_requires=">=3.10",
    package_dir={"arcface_mxnet": "src"},
    packages=["arcface_mxnet"] + [f"arcface_mxnet.{name}" for name in find_packages("src")],
    package_data={
        "arcface_mxnet.batches": ["*.cc"],
        "arcface_mxnet.ops": ["*.cc", "*.h"],
        "arcface_mxnet.megaface": ["*.cc"],
        "arcface_mxnet.serve": ["web/*", "probe.png"],
    },
    install_requires=[
        "numpy>=1.23",
        "opencv-python<5",  # 5.0 warps otherwise: crops move by up to 8 of 255
        "scikit-learn",  # PCA of the verification protocol
        "scikit-image",
        "scipy",
        "easydict",
        "matplotlib",  # the pictures of recipes/ and docs/, nothing of src/
        "tqdm",  # progress bars
        "tomli; python_version < '3.11'",  # tomllib came with 3.11
    ],
    extras_require={
        "cpu": [*mxnet("mxnet"), *ONNX_CPU],
        "cu112": [*mxnet("mxnet-cu112"), *CUDA_WHEELS, *ONNX_CPU],
        "embed": ONNX_CPU,  # embedding alone
        # embedding on GPUs, those that MXNet cannot serve too
        "gpu": ["onnx", "onnxruntime-gpu[cuda,cudnn]>=1.21"],
        # Training where MXNet has no code for the GPU, or cannot be installed.  2.5 is the first
        # that has torch.OutOfMemoryError; the tests run 2.13.
        "torch": ["torch>=2.5,<3"],
        "export": ["onnx"],
        "serve": ["fastapi", "uvicorn>=0.30", "prometheus-client"],
        "browser": ["playwright", "axe-playwright-python"],  # pages, in Chromium
        # ready vectors in Parquet; from 22 on pyarrow needs numpy 2
        "parquet": [f"pyarrow<22; {MXNET_PYTHON}", "pyarrow; python_version >= '3.13'"],
        "tensorboard": ["tensorboardX"],
        "test": [
            "pytest",
            "pytest-xdist>=3.5",
            "ruff==0.17.6",
            "onnx",
            "httpx",
            "setuptools>=70.1",  # builds a wheel
            # There the registry has its CPU build; elsewhere it would bring CUDA, so its tests are
            # skipped.
            "torch==2.13.0; python_version == '3.11'",
        ],
    },
    entry_points={
        "console_scripts": [
            "arcface-fetch = arcface_mxnet.fetch.sources:main",
            "arcface-align = arcface_mxnet.align.align_faces:main",
            "arcface-check-crops = arcface_mxnet.align.check_crops:main",
            "arcface-train = arcface_mxnet.train_softmax:main",
            "arcface-serve = arcface_mxnet.serve.command:main",
            "arcface-rec = arcface_mxnet.data.rec:main",
            "arcface-doctor = arcface_mxnet.doctor.command:main",
            "arcface-clean = arcface_mxnet.clean.command:main",
            "arcface-face2rec = arcface_mxnet.data.face2rec2:main",
            "arcface-import = arcface_mxnet.importing.command:main",
            "arcface-export = arcface_mxnet.export.torch_command:main",
            "arcface-onnx = arcface_mxnet.export.to_onnx:main",
            "arcface-quantize = arcface_mxnet.export.quantize:main",
            "arcface-slim = arcface_mxnet.checkpoints.slim:main",
            "arcface-embed = arcface_mxnet.embedding.embed:main",
            "arcface-pack-pairs = arcface_mxnet.eval.pack_pairs:main",
            "arcface-ijb = arcface_mxnet.eval.ijb:main",
            "arcface-ytf = arcface_mxnet.eval.ytf:main",
            "arcface-verify = arcface_mxnet.eval.verification:main",
            "arcface-degrade = arcface_mxnet.batches.degrade:main",
            "arcface-compare = arcface_mxnet.eval.compare:main",
            "arcface-gen-megaface = arcface_mxnet.megaface.gen_megaface:main",
            "arcface-remove-noises = arcface_mxnet.megaface.remove_noises:main",
            "arcface-megaface = arcface_mxnet.megaface.run_experiment:main",
        ],
        "torchrun.handlers": ["loopback = arcface_mxnet.training.loopback:handler"],
    },
)
