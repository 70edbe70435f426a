#!/bin/sh
# Trains the shipped networks again and puts them beside this script, with their records:
#     sh landscape/gallery/train_all.sh FOLDER
# `landscape` and `python` must be on PATH; FOLDER, new or empty, keeps the trajectories. Two at a time, one thread each.
# One recipe for all, the best found for the plain ResNet-56 (README.md). On the same processor and versions the files
# come out equal, byte for byte.
set -eu
folder=${1:?usage: train_all.sh FOLDER}
here=$(dirname "$0")

train() {
    name=$1
    shift
    landscape train "$@" --lr 0.05 --epochs 80 --output "$folder/$name"
}

both() { # the residual network and its plain twin
    name=$1
    shift
    train "$name-skip" "$@" &
    train "$name-plain" "$@" --no-shortcuts &
    wait
}

both resnet20-w8 --depth 20 --width 8
both resnet56-w4 --depth 56 --width 4
both resnet56-w8 --depth 56 --width 8
both resnet56-w16 --depth 56 --width 16

python - "$folder" "$here" <<'END'
import json, shutil, sys
from pathlib import Path

folder, here = map(Path, sys.argv[1:])
records = []
for run in sorted(folder.iterdir()):
    file = f"{run.name}.safetensors"
    shutil.copy(run / "checkpoint.safetensors", here / file)
    records.append({"name": run.name, "file": file, **json.loads((run / "record.json").read_text())})
(here / "records.json").write_text(json.dumps(records, indent=2) + "\n")
END
