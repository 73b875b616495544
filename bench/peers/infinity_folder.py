"""Makes of a bundle the folder that infinity serves. Runs in infinity's own environment.

`python infinity_folder.py BUNDLE FOLDER`: weights and tokenizer in the form that the transformers
release which infinity pins can read, and beside them the ONNX graph, quantised to int8 for the
instructions of this machine, that its optimum engine prefers on a CPU.
"""

import json
import shutil
import sys
from pathlib import Path

from optimum.onnxruntime import ORTModelForSequenceClassification, ORTQuantizer
from optimum.onnxruntime.configuration import AutoQuantizationConfig


def main() -> None:
    bundle, folder = map(Path, sys.argv[1:])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        shutil.copy(bundle / name, folder)
    told = json.loads((bundle / "tokenizer_config.json").read_text("utf-8"))
    told["tokenizer_class"] = "PreTrainedTokenizerFast"  # the class's name before transformers 5
    told["model_max_length"] = json.loads((bundle / "manifest.json").read_text())["max_length"]
    (folder / "tokenizer_config.json").write_text(json.dumps(told), "utf-8")
    model = ORTModelForSequenceClassification.from_pretrained(folder, export=True)  # nosec B615
    model.save_pretrained(folder)  # beside the weights: optimum looks for the name without a folder
    has = Path("/proc/cpuinfo").read_text()
    kind = (
        AutoQuantizationConfig.avx512_vnni if "avx512_vnni" in has else AutoQuantizationConfig.avx2
    )
    ORTQuantizer.from_pretrained(folder).quantize(
        save_dir=folder, quantization_config=kind(is_static=False, per_channel=False)
    )


if __name__ == "__main__":
    main()
