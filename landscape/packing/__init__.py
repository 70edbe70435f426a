"""Packed networks, files without code: weights as safetensors, the network as JSON of allow-listed ATen operators.

graph_json.py   the engine's graph as JSON and back, every part checked
allowlist.py    the allowed operators, and the arguments refused for each
dry_run.py      runs the graph on shapes alone, then on one blank sample: sizes, cost, outputs
module.py       an nn.Module that runs the graph
reader.py       reads a packed file in the sandbox
pack.py         `landscape.pack`
"""

FORMAT = "landscape packed network 1"  # value of the key "format" in the metadata
CONSTANT = "@constant/"  # prefix of constants among the tensors of the file
