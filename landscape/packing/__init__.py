"""Packed networks, files without code: weights as safetensors, the network as JSON of allow-listed ATen operators.

graph_json.py   the engine's graph as JSON and back, every part checked
allowlist.py    the allowed operators
arguments.py    arguments have the types that torch's schema says
dry_run.py      runs the graph on shapes alone at several batches, then on one blank batch
linearity.py    sizes are linear in the batch
cost.py         what an operator costs, from shapes alone
module.py       an nn.Module that runs the graph
reader.py       reads a packed file in the sandbox
pack.py         `landscape.pack`
"""

FORMAT = "landscape packed network 1"  # value of the key "format" in the metadata
CONSTANT = "@constant/"  # prefix of constants among the tensors of the file
